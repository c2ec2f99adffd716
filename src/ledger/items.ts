import { randomUUID } from 'node:crypto';
import type { Outcome } from '../core/batch.ts';
import type { Certificate } from '../core/certificate.ts';
import type { Attempt } from '../core/decide.ts';
import { script } from '../runtime/redis/script.ts';
import { runName, type Run } from './call-notes.ts';
import { CHUNK_ITEMS, unpackChunk } from './chunk.ts';
import { CANCEL_ITEMS } from './cancel-script.lua.ts';
import { REPORT_ITEMS } from './item-scripts.lua.ts';
import type { LedgerStore } from './keys.ts';

/** What became of an item. `isUncalled`: the run has made no call for it, so nothing that it says rests on one. */
export type ItemEnd =
  | {
      readonly kind: 'settle';
      readonly outcome: Outcome;
      /** The API's code, or one of ours in lower case; empty when there was no call. */
      readonly code: string;
      readonly requestId: string;
      readonly attempt: Attempt;
      readonly isUncalled: boolean;
      /** `revoked` because the certificate was no longer there after a lost answer. */
      readonly byAbsence?: boolean;
      /** With `dead`: JSON of the letter but for what the ledger adds, without its closing brace. */
      readonly letter?: string;
    }
  /** It leaves its job, and waits for this time. `attempt` only where the run has called. */
  | { readonly kind: 'wait'; readonly delayMs: number; readonly attempt?: Attempt }
  /** It stays with its job, which another run takes up. `attempt` only where the run has called. */
  | { readonly kind: 'release'; readonly attempt?: Attempt };

export interface ItemReport {
  readonly n: number;
  readonly instanceId: string;
  readonly run: Run;
  /** What a direct item was adopted under. */
  readonly key?: string;
  readonly end: ItemEnd;
}

/**
 * `settled`; `already`: another run has settled it, nothing changed; `unknown`: no such item; `overtaken`: another run has called for it, nothing
 * changed; `waiting`, `released`: as asked. `marked`: of a batch that retires, it is inactive, and continues later; `inactivated`, `already-inactive`: it
 * was marked before, and ended so.
 */
export type Reported =
  | 'settled'
  | 'marked'
  | 'inactivated'
  | 'already-inactive'
  | 'already'
  | 'unknown'
  | 'overtaken'
  | 'waiting'
  | 'released';

/** An item that a cancelled batch may end with. */
export interface CancelledItem {
  readonly n: number;
  /** What it was adopted under. */
  readonly key?: string;
}

const CANCELLATIONS = ['cancelled', 'inactivated', 'already-inactive'] as const satisfies readonly Outcome[];

/** How a cancelled batch ended with an item. */
export interface ItemCancellation {
  readonly n: number;
  readonly outcome: (typeof CANCELLATIONS)[number];
}

const reportScript = script<string[]>(REPORT_ITEMS);
const cancelScript = script<string>(CANCEL_ITEMS);

/** The items of batches: what they are, which of them are settled, and how they end. */
export class Items {
  readonly #store: LedgerStore;

  constructor(store: LedgerStore) {
    this.#store = store;
  }

  /** The certificates of a chunk; undefined when there is no such chunk. */
  async chunk(batch: string, chunk: number): Promise<Certificate[] | undefined> {
    const { redis, keys } = this.#store;
    const packed = await redis.hgetBuffer(keys.of(batch).chunks, String(chunk));
    return packed === null ? undefined : unpackChunk(packed);
  }

  /** Which items of a chunk are settled, by their position in it. */
  async settledOfChunk(batch: string, chunk: number): Promise<(position: number) => boolean> {
    const { redis, keys } = this.#store;
    // A chunk's bits fill whole bytes, since CHUNK_ITEMS is a multiple of 8.
    const from = (chunk * CHUNK_ITEMS) / 8;
    const bits = await redis.getrangeBuffer(keys.of(batch).settled, from, from + CHUNK_ITEMS / 8 - 1);
    return (position) => ((bits[position >> 3] ?? 0) & (0x80 >> (position & 7))) !== 0;
  }

  /** The first item at or after `from`, the beginning of a chunk, that is not settled; behind the last one when all are. */
  async nextOpen(batch: string, from: number): Promise<number> {
    const { redis, keys } = this.#store;
    // Without any bit, Redis answers 0 whatever the beginning.
    return Math.max(from, await redis.bitpos(keys.of(batch).settled, 0, from / 8));
  }

  /**
   * Tells the outcomes of some items of one batch, in one step. A second time changes nothing, and of what the first has settled gets the same answer,
   * so a report whose reply was lost can be made again.
   */
  async report(
    batch: string,
    reports: readonly ItemReport[],
  ): Promise<{ readonly replies: readonly Reported[]; readonly isDrained: boolean }> {
    const { redis, keys } = this.#store;
    const instances = [...new Set(reports.map(({ instanceId }) => instanceId))];
    const of = keys.of(batch);
    const about = [of.record, keys.active, keys.fingerprints, of.settled, of.ledger, of.dead, of.adopted, of.attempts];
    const names = [...new Set(reports.map(({ run }) => runName(run)))];
    const items = reports.map((report) =>
      rowOf(report, instances.indexOf(report.instanceId) + 1, names.indexOf(runName(report.run)) + 1),
    );
    const replies = await reportScript(
      redis,
      [...about, of.history, of.marked, of.markedBefore, ...instances.map((instanceId) => keys.waiting(instanceId))],
      [batch, JSON.stringify({ runs: names, items })],
    );
    return { replies: replies.slice(0, -1) as Reported[], isDrained: replies.at(-1) === 'drained' };
  }

  /**
   * Settles as cancelled those of the items of which no call may have worked; their batch must be cancelled. What it has marked inactive is left so.
   * @param evenIfCalled - where nobody can say any more what certificate an item is
   * @returns those, and how each ended
   */
  async cancel(
    batch: string,
    items: readonly CancelledItem[],
    evenIfCalled = false,
  ): Promise<readonly ItemCancellation[]> {
    if (items.length === 0) return [];
    const { redis, keys } = this.#store;
    const of = keys.of(batch);
    const about = [of.record, keys.active, keys.fingerprints, of.settled, of.ledger, of.attempts, of.adopted];
    const marks = [of.marked, of.markedBefore];
    const rows = JSON.stringify(items.map(({ n, key }) => (key === undefined ? [n] : [n, key])));
    const told = await cancelScript(redis, [...about, ...marks], [batch, evenIfCalled ? 1 : 0, rows, randomUUID()]);
    const ended = JSON.parse(told) as Partial<Record<ItemCancellation['outcome'], readonly number[]>>;
    return CANCELLATIONS.flatMap((outcome) => (ended[outcome] ?? []).map((n) => ({ n, outcome })));
  }
}

/** Each row in one shape, since thousands are made: what is undefined is not in the JSON. */
function rowOf({ n, run, key, end }: ItemReport, waiting: number, name: number): object {
  const score = run.kind === 'claim' ? run.score : undefined;
  switch (end.kind) {
    case 'settle': {
      const { kind, outcome, code, requestId, attempt, isUncalled, letter } = end;
      const { calls, effectUnknown: unknown } = attempt;
      const absence = end.byAbsence === true ? true : undefined;
      return {
        n,
        run: name,
        waiting,
        score,
        kind,
        outcome,
        code,
        requestId,
        calls,
        isUncalled,
        unknown,
        absence,
        letter,
        key,
      };
    }
    case 'wait': {
      const { kind, attempt } = end;
      return { n, run: name, waiting, score, kind, delayMs: Math.ceil(end.delayMs), ...attemptRow(attempt) };
    }
    case 'release':
      return { n, run: name, waiting, score, kind: end.kind, ...attemptRow(end.attempt) };
  }
}

function attemptRow(attempt: Attempt | undefined): object {
  if (attempt === undefined) return { isUncalled: true };
  return { failures: attempt.failures, calls: attempt.calls, unknown: attempt.effectUnknown };
}
