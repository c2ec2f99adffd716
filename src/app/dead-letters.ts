import { isRefusal } from '../core/direct-job.ts';
import type { DeadFilter, DeadLetterOf } from '../ledger/dead-letters.ts';
import { accountOf } from '../runtime/config/config.ts';
import { acting, lacksReason, type Motive, type ReasonRequired } from './acting.ts';
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

/** How an action on dead letters may end without anything changed. `unconfirmed`: the operator named another number. */
export type NotDone =
  | { readonly kind: 'unconfirmed'; readonly confirmed: number; readonly letters: number }
  | ReasonRequired
  | SelectionRefused;

export type RetryOutcome =
  | {
      readonly kind: 'retried';
      readonly retried: number;
      /** Left alone: cancelled batches stay so. */
      readonly cancelled: number;
      /** Left alone: malformed, or of an instance that no account has. */
      readonly unknown: number;
      /** Left alone: the account refused the job, and the selection does not name that code. */
      readonly refused: number;
    }
  | NotDone;

export type DiscardOutcome = { readonly kind: 'discarded'; readonly discarded: number } | NotDone;

/** Who acts on letters, and who confirms. */
export interface LetterDeed extends Motive {
  /** Asked how many letters the operator means, unless there is none. Without it, nobody is asked. */
  readonly confirm?: (letters: number) => Promise<number>;
  /** Asked for the reason once the number is confirmed. */
  readonly askReason?: () => Promise<string | undefined>;
}

/** Dead letters, the batches newest first. Without a filter, those of all batches. */
export async function listDeadLetters({ ledger }: Store, filter: DeadFilter): Promise<ListOutcome> {
  const { batch } = filter;
  if (batch !== undefined && (await ledger.batches.find(batch)) === undefined) return { kind: 'no-batch', batch };
  return { kind: 'found', letters: ledger.deadLetters.list(filter) };
}

/** Some dead letters of a batch, in no order. @param cursor - the `next` of the page before; `0` begins */
export async function deadLetterPage(
  { ledger }: Store,
  batch: string,
  cursor: string,
  about: number,
): Promise<{ readonly letters: readonly DeadLetterOf[]; readonly next?: string }> {
  return ledger.deadLetters.page(batch, cursor, about);
}

/** Makes dead letters pending again; they go through the same limiter, and their history is kept. */
export async function retryDeadLetters(
  store: Store,
  selection: LetterSelection,
  deed: LetterDeed = {},
): Promise<RetryOutcome> {
  const selected = await select(store, selection);
  if (selected.kind !== 'found') return selected;
  const chosen = new Chosen();
  const states = new Map<string, boolean>();
  let cancelled = 0;
  let unknown = 0;
  let refused = 0;
  for await (const { batch, n, instanceId, code } of selected.letters) {
    const isCancelled = states.get(batch) ?? (await store.ledger.batches.find(batch))?.state === 'cancelled';
    states.set(batch, isCancelled);
    // Nobody could work on it: a malformed job, or an instance that is still not configured.
    if (accountOf(store.config, instanceId) === undefined) unknown += 1;
    else if (isCancelled) cancelled += 1;
    // A retry would do what its producer may not have done: that must be meant.
    else if (isRefusal(code) && selection.code !== code) refused += 1;
    else chosen.add(batch, n);
  }
  const judged = await agreed(store, chosen.letters, deed);
  if (judged.kind !== 'agreed') return judged;
  let retried = 0;
  await acting(store, async () => {
    for (const [batch, ordinals] of chosen.byBatch) {
      for (const result of await store.ledger.deadLetters.reopen(batch, ordinals, judged.motive)) {
        if (result === 'reopened') retried += 1;
        if (result === 'cancelled') cancelled += 1;
        if (result === 'malformed') unknown += 1;
      }
    }
  });
  return { kind: 'retried', retried, cancelled, unknown, refused };
}

/** Discards dead letters. Their items stay counted as dead, and stay in the report. */
export async function discardDeadLetters(
  store: Store,
  selection: LetterSelection,
  deed: LetterDeed = {},
): Promise<DiscardOutcome> {
  const selected = await select(store, selection);
  if (selected.kind !== 'found') return selected;
  const chosen = new Chosen();
  for await (const { batch, n } of selected.letters) chosen.add(batch, n);
  const judged = await agreed(store, chosen.letters, deed);
  if (judged.kind !== 'agreed') return judged;
  let discarded = 0;
  await acting(store, async () => {
    for (const [batch, ordinals] of chosen.byBatch) {
      const replies = await store.ledger.deadLetters.discard(batch, ordinals, judged.motive);
      discarded += replies.filter(Boolean).length;
    }
  });
  return { kind: 'discarded', discarded };
}

/** Letters that were counted: what is done is done to these, also where others have come meanwhile. */
class Chosen {
  readonly #byBatch = new Map<string, Set<number>>();

  /** A scan may show a letter twice. */
  add(batch: string, n: number): void {
    const known = this.#byBatch.get(batch) ?? new Set();
    this.#byBatch.set(batch, known.add(n));
  }

  get letters(): number {
    return [...this.#byBatch.values()].reduce((sum, { size }) => sum + size, 0);
  }

  get byBatch(): readonly (readonly [batch: string, ordinals: readonly number[]])[] {
    return [...this.#byBatch].map(([batch, ordinals]) => [batch, [...ordinals]]);
  }
}

async function agreed(
  { config }: Store,
  letters: number,
  { confirm, askReason, ...given }: LetterDeed,
): Promise<{ readonly kind: 'agreed'; readonly motive: Motive } | Exclude<NotDone, SelectionRefused>> {
  if (letters === 0) return { kind: 'agreed', motive: given };
  // Nobody is asked for a number that counts for nothing.
  if (askReason === undefined && lacksReason({ config }, given)) return { kind: 'reason-required' };
  const confirmed = confirm === undefined ? letters : await confirm(letters);
  if (confirmed !== letters) return { kind: 'unconfirmed', confirmed, letters };
  const reason = given.reason ?? (await askReason?.());
  const motive = { ...given, ...(reason !== undefined && { reason }) };
  return lacksReason({ config }, motive) ? { kind: 'reason-required' } : { kind: 'agreed', motive };
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
