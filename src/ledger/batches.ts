import type { AuditEvent } from '../audit/entry.ts';
import { auditNote, type Motive } from '../audit/note.ts';
import { actionNamed, DEFAULT_ACTION, type Action } from '../core/action.ts';
import type { BatchEvent, BatchState, Counts } from '../core/batch.ts';
import { CLOCK, script } from '../runtime/redis/script.ts';
import { FEED_RANK, parseBatch, type Batch, type Priority, type Verified } from './batch-record.ts';
import { CHANGE_PRIORITY, CHANGE_STATE, FORGET, VERIFIED } from './batch-scripts.lua.ts';
import { isDirectBatch } from './direct-items.ts';
import { outcomesOf } from './entries.ts';
import type { LedgerStore } from './keys.ts';
import { RANK_STEP } from './script-parts.lua.ts';

export type StateChange =
  | { readonly kind: 'changed'; readonly state: BatchState }
  | { readonly kind: 'refused'; readonly state: BatchState }
  | { readonly kind: 'no-batch' };

export type PriorityChange =
  | { readonly kind: 'changed' | 'same' | 'no-batch' }
  | { readonly kind: 'refused'; readonly state: BatchState };

/**
 * `refused`: it has items pending, or it is a direct batch, which never ends. `has-letters`: nobody has dealt with its dead letters.
 * `changed`: it has outcomes that the report does not have.
 */
export type Forgotten = 'forgotten' | 'refused' | 'has-letters' | 'no-batch' | 'changed';

/** What an operator, or a worker, does to a batch, and what the record says of it. */
export interface BatchDeed extends Motive {
  /** Where it is not the operator's own. */
  readonly event?: Extract<AuditEvent, 'breaker-pause' | 'limit-pause' | 'window-pause' | 'window-resume'>;
  /** Of a pause, for people: why, where no operator paused it. */
  readonly pausedBecause?: string;
  /** Refused where the batch has been resumed another number of times: what was judged is no longer so. */
  readonly resumes?: number;
}

/** The report that is forgotten with a batch. */
export interface LastReport {
  readonly sha256: string;
  /** The ledger's last entry that it was made of. */
  readonly lastEntry: string;
}

/** What is left of a batch that was forgotten. Times are Unix milliseconds. */
export interface Tombstone extends Motive {
  readonly batch: string;
  readonly action: Action;
  readonly forgottenAt: number;
  readonly state: BatchState;
  readonly counts: Counts;
  readonly submittedAt: number;
  readonly completedAt?: number;
  readonly manifestSha256?: string;
  /** Of the report as CSV. */
  readonly reportSha256?: string;
  /** The entry of the audit record that says who forgot it. */
  readonly auditSeq: number;
}

/** Where a batch stands among all: `score` is the time of its submission, Unix milliseconds. */
export interface BatchPlace {
  readonly score: number;
  readonly id: string;
}

/** As it is written; an older version knew no actions. */
interface LeftOfBatch extends Omit<Tombstone, 'batch' | 'action'> {
  readonly action?: string;
}

const changeScript = script<string>(CHANGE_STATE);
const prioritizeScript = script<string>(CHANGE_PRIORITY);
const forgetScript = script<Forgotten>(FORGET);
const verifiedScript = script<number>(VERIFIED);
/** By the clock that stamps the ledger; TIME itself would ask any node of a cluster. */
const nowScript = script<number>(`${CLOCK}
return clockMs()`);

/** The most entries that a rate is measured over. */
const RATE_SAMPLE = 2_000;

/** What is known of batches as wholes, and what is done to them. */
export class Batches {
  readonly #store: LedgerStore;

  constructor(store: LedgerStore) {
    this.#store = store;
  }

  /** Undefined when there is no such batch. */
  async find(id: string): Promise<Batch | undefined> {
    const { redis, keys } = this.#store;
    return parseBatch(id, await redis.hgetall(keys.of(id).record));
  }

  /** Every batch, the newest first. One whose plan has expired is forgotten on the way. */
  async all(): Promise<Batch[]> {
    const { redis, keys } = this.#store;
    const ids = await redis.zrevrange(keys.batches, 0, -1);
    const found = await Promise.all(ids.map((id) => this.find(id)));
    const gone = ids.filter((_, index) => found[index] === undefined);
    if (gone.length > 0) await redis.zrem(keys.batches, ...gone);
    return found.filter((batch) => batch !== undefined);
  }

  /**
   * Some batches, the newest first.
   * @param after - the last one of the page before: its score and its id
   * @returns those that are there, and the last place that was looked at; undefined where there is nothing behind it
   */
  async page(limit: number, after?: BatchPlace): Promise<{ readonly batches: Batch[]; readonly last?: BatchPlace }> {
    const { redis, keys } = this.#store;
    const places: BatchPlace[] = [];
    for (let offset = 0; places.length <= limit; offset += limit + 1) {
      const from = after === undefined ? '+inf' : String(after.score);
      const found = await redis.zrevrangebyscore(keys.batches, from, '-inf', 'WITHSCORES', 'LIMIT', offset, limit + 1);
      for (let at = 0; at + 1 < found.length; at += 2) {
        const place = { id: found[at] ?? '', score: Number(found[at + 1]) };
        // Those of one millisecond stand in the order of their ids.
        if (after === undefined || place.score < after.score || place.id < after.id) places.push(place);
      }
      if (found.length < 2 * (limit + 1)) break;
    }
    const shown = places.slice(0, limit);
    const batches = await Promise.all(shown.map(({ id }) => this.find(id)));
    const last = places.length > limit ? shown.at(-1) : undefined;
    return { batches: batches.filter((batch) => batch !== undefined), ...(last !== undefined && { last }) };
  }

  /** Batches with items pending, in the order in which they are fed. */
  async active(): Promise<Batch[]> {
    const { redis, keys } = this.#store;
    const ids = await redis.zrange(keys.active, '0', '-1');
    const found = await Promise.all(ids.map((id) => this.find(id)));
    return found.filter((batch) => batch !== undefined);
  }

  /** When the batch that has had items pending for longest began to, Unix milliseconds; undefined where nothing pends. */
  async pendingSince(): Promise<number | undefined> {
    const { redis, keys } = this.#store;
    const found = await redis.zrange(keys.active, '0', '-1', 'WITHSCORES');
    const times = found.flatMap((score, at) => (at % 2 === 0 ? [] : [Number(score) % RANK_STEP]));
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /**
   * Pauses, resumes or cancels; every process learns of it through the signals counter.
   */
  async change(
    batch: string,
    event: Extract<BatchEvent, 'pause' | 'resume' | 'cancel'>,
    { event: named, pausedBecause, resumes, ...motive }: BatchDeed = {},
  ): Promise<StateChange> {
    const { redis, keys } = this.#store;
    const { stream, head } = keys.audit;
    const { record, settled, marked } = keys.of(batch);
    const about = [record, keys.signals, keys.fingerprints, keys.active, stream, head, settled, marked];
    const why = pausedBecause === undefined ? {} : { reason: pausedBecause };
    const note = auditNote({ event: named ?? event, batch, ...why, ...motive });
    const by = named === 'window-pause' || named === 'window-resume' ? 'window' : '';
    const state = await changeScript(redis, about, [event, pausedBecause ?? '', batch, resumes ?? '', note, by]);
    if (state === '') return { kind: 'no-batch' };
    return state.startsWith('!')
      ? { kind: 'refused', state: state.slice(1) as BatchState }
      : { kind: 'changed', state: state as BatchState };
  }

  /** Has it fed before or after others from now on. A direct batch is not fed: each of its jobs has its own priority. */
  async prioritize(batch: string, priority: Priority, motive: Motive = {}): Promise<PriorityChange> {
    const { redis, keys } = this.#store;
    const { stream, head } = keys.audit;
    const { reason, ...who } = motive;
    const what = reason === undefined ? priority : `${priority}: ${reason}`;
    const note = auditNote({ event: 'priority', batch, ...who, reason: what });
    const about = [keys.of(batch).record, keys.signals, keys.active, stream, head];
    const reply = await prioritizeScript(redis, about, [batch, priority, FEED_RANK[priority], note]);
    if (reply === '') return { kind: 'no-batch' };
    if (reply.startsWith('!')) return { kind: 'refused', state: reply.slice(1) as BatchState };
    return { kind: reply === 'changed' ? 'changed' : 'same' };
  }

  /** Keeps what a verification found, and that it was made. @returns false where the batch was forgotten meanwhile */
  async verified(batch: string, found: Omit<Verified, 'at'>): Promise<boolean> {
    const { redis, keys } = this.#store;
    const { stream, head } = keys.audit;
    const { checked, remaining, pending, isMoved } = found;
    const result = JSON.stringify({ checked, remaining, pending, isMoved }).slice(1);
    const args = [auditNote({ event: 'verify', batch }), result, JSON.stringify({ checked, remaining, pending })];
    return (await verifiedScript(redis, [keys.of(batch).record, stream, head], args)) === 1;
  }

  /** Takes a finished batch out of Redis, its report included. */
  async forget(batch: string, motive: Motive = {}, report?: LastReport): Promise<Forgotten> {
    if (isDirectBatch(batch)) return 'refused';
    const { redis, keys } = this.#store;
    const { stream, head } = keys.audit;
    const { record, dead, ledger, ...others } = keys.of(batch);
    const about = [keys.batches, keys.forgotten, stream, head, record, dead, ledger, ...Object.values(others)];
    const note = auditNote({ event: 'forget', batch, ...motive });
    return forgetScript(redis, about, [batch, note, report?.sha256 ?? '', report?.lastEntry ?? '']);
  }

  /** What is left of a batch that was forgotten; undefined where none was, or by a version that left nothing. */
  async tombstone(batch: string): Promise<Tombstone | undefined> {
    const { redis, keys } = this.#store;
    const text = await redis.hget(keys.forgotten, batch);
    if (text === null) return undefined;
    const { action, ...left } = JSON.parse(text) as LeftOfBatch;
    return { batch, ...left, action: actionNamed(action ?? '') ?? DEFAULT_ACTION };
  }

  /**
   * Outcomes a second over the last ten seconds, from the ledger itself.
   * A fast batch is measured over its last 2,000 entries, so that the question stays cheap.
   */
  async ratePerSecond(batch: string, windowMs = 10_000): Promise<number> {
    const { redis, keys } = this.#store;
    const of = keys.of(batch);
    const nowMs = await nowScript(redis, [of.record], []);
    const entries = await redis.xrevrange(of.ledger, '+', `${nowMs - windowMs}`, 'COUNT', RATE_SAMPLE);
    const oldest = entries.at(-1)?.[0];
    if (oldest === undefined) return 0;
    const outcomes = entries.reduce((sum, [, fields]) => sum + outcomesOf(fields).length, 0);
    const sinceMs =
      entries.length < RATE_SAMPLE ? await this.#sinceMs(batch, nowMs, windowMs) : nowMs - Number.parseInt(oldest, 10);
    return (outcomes * 1_000) / Math.max(sinceMs, 1_000);
  }

  /** A batch younger than the window is measured over its own age. */
  async #sinceMs(batch: string, nowMs: number, windowMs: number): Promise<number> {
    const { redis, keys } = this.#store;
    const submittedAt = Number((await redis.hget(keys.of(batch).record, 'submittedAt')) ?? 0);
    return Math.min(windowMs, nowMs - submittedAt);
  }
}
