import type { BatchState } from '../core/batch.ts';
import type { Forgotten } from '../ledger/batches.ts';
import { isDirectBatch } from '../ledger/direct-items.ts';
import type { Store } from './store.ts';

/** What an operator does to a batch. */
export type Change = 'pause' | 'resume' | 'cancel';

export type ChangeOutcome =
  | { readonly kind: 'changed' }
  /** In this state the change has no meaning. */
  | { readonly kind: 'refused'; readonly state: BatchState }
  /** A direct batch takes in the jobs that other programs add: it cannot be cancelled while they do. */
  | { readonly kind: 'is-direct' }
  | { readonly kind: 'no-batch' };

/** Pauses, resumes or cancels a batch; the workers hear of it within a second. */
export async function changeBatch({ ledger }: Store, batch: string, change: Change): Promise<ChangeOutcome> {
  if (change === 'cancel' && isDirectBatch(batch)) return { kind: 'is-direct' };
  return ledger.batches.change(batch, change);
}

/** Takes a finished batch out of Redis, its report included. */
export async function forget({ ledger }: Store, batch: string): Promise<Forgotten> {
  return ledger.batches.forget(batch);
}
