import { z } from 'zod';
import { PLANNED_ACTIONS } from '../../core/action.ts';
import { parseDailyWindow } from '../../core/daily-window.ts';
import { REGISTERED_STATUSES } from '../../core/registered.ts';
import { timeSpanMs } from '../../core/time-span.ts';
import { EVEN_WITH_FAULTS } from './account-schema.ts';

export const SCHEDULE_NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;
/** Five fields, and none with H, for which each host would draw another number. What they may hold, `cronFault` says. */
const FIVE_FIELDS = /^(?!.*(?:^|[\s,])H)[^\s@]+(?: +[^\s@]+){4}$/;

const INSTANCE_REMEDY = 'write the instance id as text, in quotes where it is all digits';
const CRON_REMEDY = 'give five fields in quotes: minute, hour, day, month, day of the week, like "0 3 * * 1"';
const ZONE_REMEDY = 'give a time zone of the IANA data, like Asia/Shanghai or UTC';
const SPAN_REMEDY = 'give days, hours or minutes, like 30d, 12h or 90m';
const WINDOW_REMEDY = 'give two different times of the day in quotes, like "02:00-06:00"';
const ITEMS_REMEDY = 'give a whole number from 1 to 100000000';
const SHARE_REMEDY = 'give more than 0 and at most 1, like 0.05 for 5%';
const PATH_REMEDY = 'give a path without ~; a relative one starts at this file';
const SELECT_REMEDY =
  'say which certificates: one or more of expiredFor, status, ca and names, or returnedFrom alone; all of an instance is no schedule';

const span = (): z.ZodString =>
  z.string({ error: SPAN_REMEDY }).refine((text) => timeSpanMs(text) !== undefined, { error: SPAN_REMEDY });
const path = (): z.ZodString => z.string({ error: PATH_REMEDY }).regex(/^[^~]/, { error: PATH_REMEDY });
const serial = z
  .string({ error: 'give the serial number of a CA in quotes' })
  .min(1, { error: 'give the serial number of a CA in quotes' });

const select = z
  .strictObject(
    {
      expiredFor: span().exactOptional().describe('Those that expired that long ago, or longer, like 30d.'),
      status: z
        .enum(REGISTERED_STATUSES, { error: `give one of ${REGISTERED_STATUSES.join(', ')}` })
        .exactOptional()
        .describe('Those that are active, or inactive.'),
      ca: z
        .union([serial, z.array(serial).min(1)], {
          error: 'give the serial number of a CA in quotes, or a list of them',
        })
        .exactOptional()
        .describe('Those of this CA, or of these.'),
      names: path().exactOptional().describe('Devices with the names in this file, one a line.'),
      returnedFrom: z
        .string({ error: 'give the name of a batch' })
        .min(1, { error: 'give the name of a batch' })
        .exactOptional()
        .describe('Certificates that this batch removed and that are registered again. No other key goes with it.'),
    },
    { error: SELECT_REMEDY },
  )
  .refine((given) => Object.keys(given).length > 0, { error: SELECT_REMEDY })
  .refine(({ returnedFrom, ...others }) => returnedFrom === undefined || Object.keys(others).length === 0, {
    ...EVEN_WITH_FAULTS,
    error: SELECT_REMEDY,
  });

export const scheduleSchema = z.strictObject(
  {
    cron: z
      .string({ error: CRON_REMEDY })
      .regex(FIVE_FIELDS, { error: CRON_REMEDY })
      .describe(
        'When it runs: minute, hour, day, month and day of the week, as the clock of the time zone shows them.',
      ),
    timezone: z
      .string({ error: ZONE_REMEDY })
      .refine(isTimeZone, { error: ZONE_REMEDY })
      .default('UTC')
      .describe('Time zone of cron and window, like Asia/Shanghai.'),
    instances: z
      .array(z.string({ error: INSTANCE_REMEDY }), { error: 'list instance ids of the accounts' })
      .min(1, { error: 'list instance ids of the accounts' })
      .describe('Instances to select certificates from.'),
    select: select.describe('Which of their certificates.'),
    except: path()
      .exactOptional()
      .describe('A manifest of certificates to leave alone. If it cannot be read, the run fails.'),
    action: z
      .enum(PLANNED_ACTIONS, { error: `give one of ${PLANNED_ACTIONS.join(', ')}` })
      .default('inactivate')
      .describe('What is done to them.'),
    maxItems: z
      .int({ error: ITEMS_REMEDY })
      .min(1, { error: ITEMS_REMEDY })
      .max(100_000_000, { error: ITEMS_REMEDY })
      .default(5_000)
      .describe('Certificates in one run at most. With more, nothing is called, and the plan is kept for a person.'),
    maxShareOfCa: z
      .number({ error: SHARE_REMEDY })
      .gt(0, { error: SHARE_REMEDY })
      .max(1, { error: SHARE_REMEDY })
      .default(0.05)
      .describe('Part of the certificates of any CA at most, in the same way.'),
    catchUpFor: span()
      .default('24h')
      .describe('How late a missed run may begin. Of several missed runs, only the latest begins.'),
    window: z
      .string({ error: WINDOW_REMEDY })
      .refine((text) => parseDailyWindow(text) !== undefined, { error: WINDOW_REMEDY })
      .exactOptional()
      .describe('Part of the day in which calls are made, like "02:00-06:00". Outside of it the batch waits.'),
    execute: z
      .boolean({ error: 'give true or false' })
      .default(false)
      .describe('True to run what was planned. Without it, a run is a plan and a report.'),
  },
  { error: 'write cron, instances and select below it' },
);

function isTimeZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: zone }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

/** Whether it looks like one. */
export function isCron(value: unknown): value is string {
  return typeof value === 'string' && FIVE_FIELDS.test(value);
}

/** Names, and that some account has each instance. The document may be anything here, since this is judged even with faults. */
export function checkSchedules(
  { schedules, accounts }: { readonly schedules?: unknown; readonly accounts?: unknown },
  context: z.core.$RefinementCtx,
): void {
  const owned = new Set(Object.values(Object(accounts)).flatMap(instancesOf));
  for (const [name, schedule] of Object.entries(Object(schedules))) {
    if (!SCHEDULE_NAME.test(name)) {
      const message = 'rename it: 1 to 32 lower-case letters, digits and hyphens, the first not a hyphen';
      context.addIssue({ code: 'custom', path: ['schedules', name], message });
    }
    for (const [index, id] of instancesOf(schedule).entries()) {
      if (owned.has(id)) continue;
      const message = 'take it out, or list it under accounts.<name>.instances too';
      context.addIssue({ code: 'custom', path: ['schedules', name, 'instances', index], message });
    }
  }
}

function instancesOf(holder: unknown): readonly unknown[] {
  const { instances } = Object(holder) as { readonly instances?: unknown };
  return Array.isArray(instances) ? instances : [];
}
