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

/** Of days, hours or minutes, as the command line takes it; milliseconds for who reads it. */
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

export const batchDetail = z
  .looseObject({
    batch: z.string(),
    action: z.enum(ACTIONS),
    state: z.enum(BATCH_STATES),
    phase: z.enum(PHASES).optional().describe('Of a batch that retires, while it is at work.'),
    soakUntil: z.string().optional().describe('ISO 8601; while it soaks.'),
    retire: z
      .object({ soakMs: z.int(), deviceDestroyed: z.boolean() })
      .optional()
      .describe('Of a batch that retires: how long it soaks, and whether it deletes also while the CA is active.'),
    ...counts,
    forgotten: z.int(),
    ratePerSecond: z.number(),
    etaSeconds: z.number().nullable(),
    confirmedByAbsence: z.int(),
    submittedAt: z.string(),
    completedAt: z.string().optional(),
    requestedBy: z.string().optional(),
    reason: z.string().optional(),
    pausedBecause: z.string().optional(),
  })
  .openapi('Batch');

export const halt = z
  .looseObject({ account: z.string(), instanceId: z.string().optional(), code: z.string(), message: z.string() })
  .openapi('Halt');

export const batchLook = batchDetail
  .extend({
    condition: z.enum(['fine', 'held', 'some-dead']),
    isDone: z.boolean(),
    halts: z.array(halt),
    unattended: z.array(z.string()).describe('Accounts that no worker works for.'),
  })
  .openapi('BatchLook');

export const deadLetter = z
  .looseObject({
    batch: z.string(),
    n: z.int(),
    instanceId: z.string(),
    caSn: z.string(),
    deviceSn: z.string(),
    code: z.string(),
    message: z.string(),
    calls: z.int(),
    at: z.int().describe('Unix milliseconds.'),
  })
  .openapi('DeadLetter');

/** A page of something. */
export function pageOf(name: string, item: z.ZodType): z.ZodObject {
  return z.object({
    [name]: z.array(item),
    next: z.string().optional().describe('Send it as cursor for the page behind.'),
  });
}
