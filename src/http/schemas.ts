import { z } from '@hono/zod-openapi';
import { ACTIONS } from '../core/action.ts';
import { BATCH_STATES } from '../core/batch.ts';
import { PHASES } from '../core/retirement.ts';
import { TIME_SPAN, timeSpanMs } from '../core/time-span.ts';

/** What several routes take or answer. */

const WORD = 'give 1 to 128 letters, digits, dots, underscores and hyphens';

export const batchId = z.string().regex(/^[\w.-]{1,128}$/, { error: WORD });
export const batchParams = z.strictObject({ id: batchId });

/** A switch in a query. */
export const flag = z
  .enum(['true', 'false'], { error: 'give true or false' })
  .default('false')
  .transform((word) => word === 'true');

const WHOLE = 'give a whole number';
export const wholeNumber = z
  .string()
  .regex(/^\d{1,15}$/, { error: WHOLE })
  .transform(Number);

/** Of days, hours or minutes, as the command line takes it; milliseconds in the code. */
export const timeSpan = z
  .string()
  .regex(TIME_SPAN, { error: 'write days, hours or minutes, such as 30d or 12h' })
  .transform((text) => timeSpanMs(text) ?? 0);

export const reason = z.string().trim().min(1, { error: 'give a reason' }).max(1_000).describe('Kept on record.');

/** @param most - on one page */
export function pageQuery(
  most: number,
  usual: number,
): { limit: z.ZodDefault<z.ZodCoercedNumber>; cursor: z.ZodOptional<z.ZodString> } {
  const error = `give a whole number from 1 to ${most}`;
  return {
    limit: z.coerce.number({ error }).int({ error }).min(1, { error }).max(most, { error }).default(usual),
    cursor: z.string().max(200).optional().describe('The `next` of the page before.'),
  };
}

const counts = {
  accepted: z.int(),
  revoked: z.int(),
  alreadyGone: z.int(),
  inactivated: z.int().optional().describe('Of a batch that inactivates, as is alreadyInactive.'),
  alreadyInactive: z.int().optional(),
  activated: z.int().optional().describe('Of a batch that activates, as is alreadyActive.'),
  alreadyActive: z.int().optional(),
  keptActive: z.int().optional().describe('Of a batch that retires, which has the two of inactivating as well.'),
  dead: z.int(),
  cancelled: z.int(),
  pending: z.int().describe('accepted is the sum of all other counts, this one included, at every moment.'),
};

/** How a batch retires its certificates. */
export const retire = z.object({ soakMs: z.int(), deviceDestroyed: z.boolean() });

export const batchDetail = z
  .looseObject({
    batch: z.string(),
    action: z.enum(ACTIONS),
    state: z.enum(BATCH_STATES),
    phase: z.enum(PHASES).optional().describe('Of a batch that retires, while it is at work.'),
    soakUntil: z.string().optional().describe('ISO 8601; while it soaks.'),
    retire: retire
      .optional()
      .describe('Of a batch that retires: how long it soaks, and whether it deletes also while the CA is active.'),
    ...counts,
    forgotten: z.int(),
    ratePerSecond: z.number(),
    etaSeconds: z.number().nullable(),
    confirmedByAbsence: z.int(),
    priority: z.enum(['urgent', 'bulk']),
    submittedAt: z.string(),
    completedAt: z.string().optional(),
    requestedBy: z.string().optional(),
    reason: z.string().optional(),
    pausedBecause: z.string().optional(),
    manifestSha256: z.string().optional(),
    awaitsApproval: z
      .object({
        certificates: z.int(),
        manifest: z.string().describe('What POST /v1/batches/{id}/approve names.'),
        submittedBy: z.string().nullable().describe('The token; null where none was used.'),
      })
      .optional()
      .describe('While it is planned: it runs only once somebody else has approved it.'),
  })
  .openapi('Batch');

export const halt = z
  .looseObject({
    account: z.string(),
    instanceId: z.string().optional().describe('Absent where the whole account is halted.'),
    host: z.string().optional().describe('Where only one process has halted the account, as is pid.'),
    pid: z.int().optional(),
    code: z.string(),
    message: z.string(),
    since: z.int().describe('Unix milliseconds, as is nextProbeAt.'),
    nextProbeAt: z.int().optional(),
  })
  .openapi('Halt');

/** The kill switch, where it is set. */
export const stop = z
  .object({ since: z.int().describe('Unix milliseconds.'), requestedBy: z.string(), reason: z.string().nullable() })
  .openapi('Stop');

export const lowered = z.object({ qps: z.number(), untilMs: z.int().describe('Unix milliseconds.') });

export const batchSnapshot = batchDetail
  .extend({
    condition: z.enum(['fine', 'held', 'some-dead']),
    isDone: z.boolean(),
    halts: z.array(halt),
    stop: stop.optional().describe('Every call of every account is stopped.'),
    lowered: z
      .array(lowered.extend({ account: z.string() }))
      .describe('Its accounts whose pace is lowered for a time.'),
    lanesLost: z
      .boolean()
      .describe('Redis has lost which instances it has: a worker reads them again from its chunks.'),
    unattended: z.array(z.string()).describe('Accounts that no worker works for.'),
  })
  .openapi('BatchSnapshot');

const death = {
  code: z.string(),
  message: z.string(),
  requestId: z.string(),
  calls: z.int(),
  at: z.int().describe('Unix milliseconds.'),
};

export const deadLetter = z
  .looseObject({
    batch: z.string(),
    n: z.int(),
    instanceId: z.string(),
    caSn: z.string(),
    deviceSn: z.string(),
    ...death,
    effectUnknown: z.boolean().describe('One of its calls may have worked although no answer said so.'),
    history: z.array(z.looseObject(death)).describe('Its earlier deaths.'),
    requestedBy: z.string().optional(),
    reason: z.string().optional(),
  })
  .openapi('DeadLetter');

/** A page of something. */
export function pageOf(name: string, item: z.ZodType): z.ZodObject {
  return z.object({
    [name]: z.array(item),
    next: z.string().optional().describe('Send it as cursor for the page behind.'),
  });
}
