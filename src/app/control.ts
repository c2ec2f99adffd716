import { createHash } from 'node:crypto';
import type { BatchState } from '../core/batch.ts';
import type { Priority } from '../ledger/batch-record.ts';
import type { Forgotten, LastReport, Tombstone } from '../ledger/batches.ts';
import { isDirectBatch } from '../ledger/direct-items.ts';
import { reportText } from '../ledger/report-text.ts';
import { ReportNotWhole, reportRows } from '../ledger/report.ts';
import { acting, lacksReason, type Motive, type ReasonRequired } from './acting.ts';
import type { Store } from './store.ts';

export type { Tombstone as ForgottenBatch } from '../ledger/batches.ts';

/** What an operator does to a batch. */
export type Change = 'pause' | 'resume' | 'cancel';

export type ChangeOutcome =
  | { readonly kind: 'changed' }
  /** In this state the change has no meaning. */
  | { readonly kind: 'refused'; readonly state: BatchState }
  | { readonly kind: 'no-batch' }
  | ReasonRequired;

/** Pauses, resumes or cancels a batch; the workers hear of it within a second. A pause needs no reason: it may be an emergency. */
export async function changeBatch(
  store: Store,
  batch: string,
  change: Change,
  motive: Motive = {},
): Promise<ChangeOutcome> {
  if (change !== 'pause' && lacksReason(store, motive)) return { kind: 'reason-required' };
  return acting(store, () => store.ledger.batches.change(batch, change, motive));
}

export type PriorityOutcome =
  /** `same`: it had that priority. */
  | { readonly kind: 'changed' | 'same' | 'no-batch' }
  /** In this state nothing of it is fed. */
  | { readonly kind: 'refused'; readonly state: BatchState }
  /** It is a batch of single certificates: each has its own priority. */
  | { readonly kind: 'direct' }
  | ReasonRequired;

/**
 * Has a batch that runs, or is paused, fed before or after the others from now on. What is in the queues stays there, ten seconds of work at most, and
 * waits for its slots by the new priority once a worker takes it; what a worker has in hand keeps its place.
 */
export async function changePriority(
  store: Store,
  batch: string,
  priority: Priority,
  motive: Motive = {},
): Promise<PriorityOutcome> {
  if (isDirectBatch(batch)) return { kind: 'direct' };
  if (lacksReason(store, motive)) return { kind: 'reason-required' };
  return acting(store, () => store.ledger.batches.prioritize(batch, priority, motive));
}

/** Takes a finished batch out of Redis, its report included. What is left is a line with its counts and the report's SHA-256. */
export async function forget(
  store: Store,
  batch: string,
  motive: Motive = {},
): Promise<Exclude<Forgotten, 'changed'> | 'reason-required'> {
  if (lacksReason(store, motive)) return 'reason-required';
  const { batches } = store.ledger;
  return acting(store, async () => {
    for (;;) {
      // One that cannot be forgotten is not worth the reading.
      const found = await batches.find(batch);
      const isDone = found !== undefined && found.completedAt !== undefined && !isDirectBatch(batch);
      const result = await batches.forget(batch, motive, isDone ? await lastReport(store, batch) : undefined);
      if (result !== 'changed') return result;
    }
  });
}

/** Undefined when none was forgotten under the name. */
export async function forgottenBatch({ ledger }: Store, batch: string): Promise<Tombstone | undefined> {
  return ledger.batches.tombstone(batch);
}

/** Undefined where Redis has lost part of what the report is made of. */
async function lastReport({ ledger, redis }: Store, batch: string): Promise<LastReport | undefined> {
  const [last] = await redis.xrevrange(ledger.keys.of(batch).ledger, '+', '-', 'COUNT', 1);
  if (last === undefined) return undefined;
  const hash = createHash('sha256');
  try {
    for await (const text of reportText(reportRows(ledger, batch), 'csv')) hash.update(text);
  } catch (error) {
    if (error instanceof ReportNotWhole) return undefined;
    throw error;
  }
  return { sha256: hash.digest('hex'), lastEntry: last[0] };
}

export type ForgottenBefore =
  | { readonly kind: 'forgotten'; readonly items: number }
  /** Only a direct batch is forgotten in part. */
  | { readonly kind: 'not-direct' }
  | { readonly kind: 'no-batch' }
  | ReasonRequired;

/** Takes what a direct batch has settled before that moment out of Redis; its counts stay. */
export async function forgetBefore(
  store: Store,
  batch: string,
  before: Date,
  motive: Motive = {},
): Promise<ForgottenBefore> {
  const { ledger } = store;
  if (lacksReason(store, motive)) return { kind: 'reason-required' };
  if ((await ledger.batches.find(batch)) === undefined) return { kind: 'no-batch' };
  if (!isDirectBatch(batch)) return { kind: 'not-direct' };
  const items = await acting(store, () => ledger.direct.forget(batch, before.getTime(), motive));
  return { kind: 'forgotten', items };
}
