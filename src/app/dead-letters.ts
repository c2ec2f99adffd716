import type { DeadFilter, DeadLetterOf } from '../ledger/dead-letters.ts';
import { accountOf } from '../runtime/config/config.ts';
import type { Store } from './store.ts';

export type { DeadLetterOf } from '../ledger/dead-letters.ts';

/** Which dead letters are meant: those that the filter lets through or, `all`, every one of every batch. */
export interface LetterSelection extends DeadFilter {
  readonly all?: boolean;
}

export type NoBatch = { readonly kind: 'no-batch'; readonly batch: string };

/** Why a selection is not acted on. `nothing-selected`: it says neither which nor all. `contradictory`: it says both. */
export type SelectionRefused = { readonly kind: 'nothing-selected' | 'contradictory' } | NoBatch;

export type ListOutcome = { readonly kind: 'found'; readonly letters: AsyncIterable<DeadLetterOf> } | NoBatch;

export type RetryOutcome =
  | {
      readonly kind: 'retried';
      readonly retried: number;
      /** Left alone: cancelled batches stay so. */
      readonly cancelled: number;
      /** Left alone: malformed, or of an instance that no account has. */
      readonly unknown: number;
    }
  | SelectionRefused;

export type DiscardOutcome = { readonly kind: 'discarded'; readonly discarded: number } | SelectionRefused;

/** Dead letters, the batches newest first. Without a filter, those of all batches. */
export async function listDeadLetters({ ledger }: Store, filter: DeadFilter): Promise<ListOutcome> {
  const { batch } = filter;
  if (batch !== undefined && (await ledger.batches.find(batch)) === undefined) return { kind: 'no-batch', batch };
  return { kind: 'found', letters: ledger.deadLetters.list(filter) };
}

/** Makes dead letters pending again; they go through the same limiter, and their history is kept. */
export async function retryDeadLetters(store: Store, selection: LetterSelection): Promise<RetryOutcome> {
  const selected = await select(store, selection);
  if (selected.kind !== 'found') return selected;
  let retried = 0;
  let cancelled = 0;
  let unknown = 0;
  for await (const { batch, n, instanceId } of selected.letters) {
    // Nobody could work on it: a malformed job, or an instance that is still not configured.
    if (accountOf(store.config, instanceId) === undefined) {
      unknown += 1;
      continue;
    }
    const result = await store.ledger.deadLetters.reopen(batch, n);
    if (result === 'reopened') retried += 1;
    if (result === 'cancelled') cancelled += 1;
    if (result === 'malformed') unknown += 1;
  }
  return { kind: 'retried', retried, cancelled, unknown };
}

/** Puts dead letters aside. Their items stay counted as dead, and stay in the report. */
export async function discardDeadLetters(store: Store, selection: LetterSelection): Promise<DiscardOutcome> {
  const selected = await select(store, selection);
  if (selected.kind !== 'found') return selected;
  let discarded = 0;
  for await (const { batch, n } of selected.letters) {
    if (await store.ledger.deadLetters.discard(batch, n)) discarded += 1;
  }
  return { kind: 'discarded', discarded };
}

/** Other batches may hold letters that nobody thinks of now, and a retry deletes certificates: which are meant must be said. */
async function select(
  store: Store,
  { all = false, ...filter }: LetterSelection,
): Promise<Exclude<ListOutcome, NoBatch> | SelectionRefused> {
  const isFiltered = Object.values(filter).some((value) => value !== undefined);
  if (isFiltered && all) return { kind: 'contradictory' };
  if (!isFiltered && !all) return { kind: 'nothing-selected' };
  return listDeadLetters(store, filter);
}
