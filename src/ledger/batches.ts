import type { BatchEvent, BatchState } from '../core/batch.ts';
import { CLOCK, script } from '../runtime/redis/script.ts';
import { parseBatch, type Batch } from './batch-record.ts';
import { CHANGE_STATE, FORGET } from './batch-scripts.lua.ts';
import { isDirectBatch } from './direct-items.ts';
import { outcomesOf } from './entries.ts';
import type { LedgerStore } from './keys.ts';

export type StateChange =
  | { readonly kind: 'changed'; readonly state: BatchState }
  | { readonly kind: 'refused'; readonly state: BatchState }
  | { readonly kind: 'no-batch' };

/** `refused`: it has items pending, or it is a direct batch, which goes on for ever. `has-letters`: nobody has dealt with its dead letters. */
export type Forgotten = 'forgotten' | 'refused' | 'has-letters' | 'no-batch';

const changeScript = script<string>(CHANGE_STATE);
const forgetScript = script<Forgotten>(FORGET);
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

  /** Batches with items pending, in the order in which they are to be fed. */
  async active(): Promise<Batch[]> {
    const { redis, keys } = this.#store;
    const ids = await redis.zrange(keys.active, '0', '-1');
    const found = await Promise.all(ids.map((id) => this.find(id)));
    return found.filter((batch) => batch !== undefined);
  }

  /**
   * Pauses, resumes or cancels; every process hears of it through the signals counter.
   * @param resumes - refused where the batch has been resumed another number of times: what was judged is no longer so
   */
  async change(
    batch: string,
    event: Extract<BatchEvent, 'pause' | 'resume' | 'cancel'>,
    reason = '',
    resumes?: number,
  ): Promise<StateChange> {
    const { redis, keys } = this.#store;
    const about = [keys.of(batch).record, keys.signals, keys.fingerprints, keys.active];
    const state = await changeScript(redis, about, [event, reason, batch, resumes ?? '']);
    if (state === '') return { kind: 'no-batch' };
    return state.startsWith('!')
      ? { kind: 'refused', state: state.slice(1) as BatchState }
      : { kind: 'changed', state: state as BatchState };
  }

  /** Takes a finished batch out of Redis, its report included. */
  async forget(batch: string): Promise<Forgotten> {
    if (isDirectBatch(batch)) return 'refused';
    const { redis, keys } = this.#store;
    const { record, dead, ...others } = keys.of(batch);
    return forgetScript(redis, [keys.batches, record, dead, ...Object.values(others)], [batch]);
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
