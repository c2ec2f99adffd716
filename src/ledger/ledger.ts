import type { Redis } from 'ioredis';
import type { BatchEvent, BatchState } from '../core/batch.ts';
import type { Certificate } from '../core/certificate.ts';
import type { Attempt } from '../core/decide.ts';
import { script } from '../runtime/redis/script.ts';
import { parseBatch, type Batch, type Priority } from './batch-record.ts';
import { CHUNK_ITEMS, unpackChunk, type ChunkRanges } from './chunk.ts';
import { outcomesOf } from './entries.ts';
import { ledgerKeys, type LedgerKeys } from './keys.ts';
import { ADVANCE, CHANGE_STATE, RESTORE_LANES } from './batch-scripts.lua.ts';
import { ADOPT, CANCEL_ITEMS, TAKE_OVER } from './item-scripts.lua.ts';

export type StateChange =
  | { readonly kind: 'changed'; readonly state: BatchState }
  | { readonly kind: 'refused'; readonly state: BatchState }
  | { readonly kind: 'no-batch' };

/** An item that a cancelled batch may end with. */
export interface CancelledItem {
  readonly n: number;
  /** What it was adopted under. */
  readonly key?: string;
}

/** An item of a direct batch. */
export interface AdoptedItem {
  readonly certificate: Certificate;
  /** What it was adopted under; absent where a version before layout 3 adopted it. */
  readonly key?: string;
}

/** How an instance's items of a batch are found and how far they have been fed. */
export interface Lane {
  readonly instanceId: string;
  readonly chunks: ChunkRanges;
  /** The ordinal from which to go on. */
  readonly cursor: number;
}

const cancelScript = script<number>(CANCEL_ITEMS);
const changeScript = script<string>(CHANGE_STATE);
const adoptScript = script<[number, number, string]>(ADOPT);
const takeOverScript = script<null>(TAKE_OVER);
const advanceScript = script<number>(ADVANCE);
/** The `run` of a job that a version with layout 1 wrote: its notes had no names. */
export const UNNAMED_RUN = 'unnamed';

const restoreScript = script<null>(RESTORE_LANES);
/** Milliseconds since 1970 by the clock that stamps the ledger; TIME itself would ask any node of a cluster. */
const nowScript = script<number>("local time = redis.call('TIME') return time[1] * 1000 + math.floor(time[2] / 1000)");

/** Urgent batches are fed before bulk ones. */
export const FEED_RANK: Readonly<Record<Priority, number>> = { urgent: 0, bulk: 1 };

/** A direct batch takes in the jobs that belong to none; its name begins so. */
export const DIRECT_PREFIX = 'direct-';

/** The batch of an account that takes in the jobs that belong to none. */
export function directBatchOf(account: string): string {
  return `${DIRECT_PREFIX}${account}`;
}

/** Thrown where a direct batch takes nothing in. */
export class BeingCancelled extends Error {
  override readonly name = 'BeingCancelled';

  constructor(batch: string) {
    super(`batch ${batch} is being cancelled: try again when none of its items is pending`);
  }
}

/** The durable record of batches, their items and outcomes. Every method is one step in Redis. */
export class Ledger {
  readonly keys: LedgerKeys;
  readonly redis: Redis;

  constructor(redis: Redis, prefix: string) {
    this.redis = redis;
    this.keys = ledgerKeys(prefix);
  }

  /** The first item at or after `from`, the beginning of a chunk, that is not settled; behind the last one when all are. */
  async nextOpen(batch: string, from: number): Promise<number> {
    // Without any bit, Redis answers 0 whatever the beginning.
    return Math.max(from, await this.redis.bitpos(this.keys.of(batch).settled, 0, from / 8));
  }

  /** How often a version before layout 3 retried the item's dead letter. */
  async formerRetries(batch: string, n: number): Promise<number> {
    return Number((await this.redis.hget(this.keys.of(batch).retries, String(n))) ?? 0);
  }

  /** Of each item, whether a version before layout 3 noted a call of it that has not been taken over. */
  async notedBefore(batch: string, ordinals: readonly number[]): Promise<boolean[]> {
    if (ordinals.length === 0) return [];
    const { notes, departed } = this.keys.of(batch);
    const bits = ordinals.flatMap((n) => ['GET', 'u1', n]).slice(1);
    const [names, unnamed] = await Promise.all([
      this.redis.hmget(notes, ...ordinals.map(String)),
      this.redis.bitfield_ro(departed, 'GET', ...bits),
    ]);
    return ordinals.map((_, at) => names[at] !== null || unnamed[at] === 1);
  }

  /**
   * Takes over what an older version knew of an item, where nothing is known of it yet: its note of a call, and what its job says of its past.
   * @param run - the run whose call the job tells of
   * @param deaths - of a retried item, those that its job tells of, as JSON; empty where it tells of none
   */
  async takeOver(batch: string, n: number, attempt: Attempt, run: string, deaths = ''): Promise<void> {
    const { record, attempts, notes, departed, settled, history, retries } = this.keys.of(batch);
    const { failures, calls, effectUnknown } = attempt;
    const args = [n, failures, calls, effectUnknown ? 1 : 0, run, deaths];
    await takeOverScript(this.redis, [record, attempts, notes, departed, settled, history, retries], args);
  }

  /** Which items of a chunk are settled, by their position in it. */
  async settledOfChunk(batch: string, chunk: number): Promise<(position: number) => boolean> {
    // A chunk's bits fill whole bytes, since CHUNK_ITEMS is a multiple of 8.
    const from = (chunk * CHUNK_ITEMS) / 8;
    const bits = await this.redis.getrangeBuffer(this.keys.of(batch).settled, from, from + CHUNK_ITEMS / 8 - 1);
    return (position) => ((bits[position >> 3] ?? 0) & (0x80 >> (position & 7))) !== 0;
  }

  async batch(id: string): Promise<Batch | undefined> {
    return parseBatch(id, await this.redis.hgetall(this.keys.of(id).record));
  }

  /** Every batch, the newest first. One whose plan has expired is forgotten on the way. */
  async batches(): Promise<Batch[]> {
    const ids = await this.redis.zrevrange(this.keys.batches, 0, -1);
    const found = await Promise.all(ids.map((id) => this.batch(id)));
    const gone = ids.filter((_, index) => found[index] === undefined);
    if (gone.length > 0) await this.redis.zrem(this.keys.batches, ...gone);
    return found.filter((batch) => batch !== undefined);
  }

  /** Batches with items pending, in the order in which they are to be fed. */
  async activeBatches(): Promise<Batch[]> {
    const ids = await this.redis.zrange(this.keys.active, '0', '-1');
    const found = await Promise.all(ids.map((id) => this.batch(id)));
    return found.filter((batch) => batch !== undefined);
  }

  async lanes(batch: string): Promise<Lane[]> {
    const of = this.keys.of(batch);
    const [lanes, cursors] = await Promise.all([this.redis.hgetall(of.lanes), this.redis.hgetall(of.cursors)]);
    return Object.entries(lanes).map(([instanceId, chunks]) => ({
      instanceId,
      chunks: JSON.parse(chunks) as ChunkRanges,
      cursor: Number(cursors[instanceId] ?? 0),
    }));
  }

  /** The ordinal from which an instance's items are to be fed. */
  async cursor(batch: string, instanceId: string): Promise<number> {
    return Number((await this.redis.hget(this.keys.of(batch).cursors, instanceId)) ?? 0);
  }

  /** Writes the lanes of a batch that has none. */
  async restoreLanes(batch: string, lanes: ReadonlyMap<string, ChunkRanges>): Promise<void> {
    const of = this.keys.of(batch);
    const args = [...lanes].flatMap(([instanceId, chunks]) => [instanceId, JSON.stringify(chunks)]);
    await restoreScript(this.redis, [of.record, of.lanes], args);
  }

  /**
   * Notes that a lane's items below `to`, `count` of them at or above its cursor, were handed to the queue.
   * @returns false when another process has moved the cursor since the lane was read: nothing is noted
   */
  async advance(batch: string, { instanceId, cursor }: Lane, to: number, count: number): Promise<boolean> {
    const of = this.keys.of(batch);
    return (await advanceScript(this.redis, [of.record, of.cursors], [instanceId, cursor, to, count])) === 1;
  }

  /** The certificates of a chunk; undefined when there is no such chunk. */
  async chunk(batch: string, chunk: number): Promise<Certificate[] | undefined> {
    const packed = await this.redis.hgetBuffer(this.keys.of(batch).chunks, String(chunk));
    return packed === null ? undefined : unpackChunk(packed);
  }

  /** The certificate of one item of a direct batch, as its job named it; undefined when there is none. */
  async adoptedCertificate(batch: string, n: number): Promise<Certificate | undefined> {
    return (await this.adoptedItem(batch, n))?.certificate;
  }

  /** The same, with what the item was adopted under where that is known. */
  async adoptedItem(batch: string, n: number): Promise<AdoptedItem | undefined> {
    const text = await this.redis.hget(this.keys.of(batch).chunks, String(n));
    if (text === null) return undefined;
    const { key, ...certificate } = JSON.parse(text) as Certificate & { readonly key?: string };
    return { certificate, ...(key !== undefined && { key }) };
  }

  /**
   * Gives a job that belongs to no batch its ordinal in a direct batch. The same job id with the same certificate gets the same ordinal
   * again, until it is settled.
   * @returns `isNew` false when the job is there already; `key` is what it is adopted under: the job id, unless that stands for another certificate
   * @throws BeingCancelled while the direct batch is cancelled and some of it is not settled yet
   */
  async adopt(
    batch: string,
    jobId: string,
    certificate: Certificate,
  ): Promise<{ n: number; isNew: boolean; key: string }> {
    const of = this.keys.of(batch);
    const keys = [of.record, this.keys.batches, this.keys.active, of.adopted, of.chunks];
    const { instanceId, caSn, deviceSn } = certificate;
    const args = [batch, jobId, JSON.stringify({ instanceId, caSn, deviceSn }), FEED_RANK.bulk];
    const [n, isNew, key] = await adoptScript(this.redis, keys, args);
    if (n < 0) throw new BeingCancelled(batch);
    return { n, isNew: isNew === 1, key };
  }

  /** Whether the job has that place in a direct batch, or had it before the item was settled. */
  async isAdoptedAs(batch: string, key: string, n: number): Promise<boolean> {
    const { adopted, settled } = this.keys.of(batch);
    const [known, isSettled] = await Promise.all([this.redis.hget(adopted, key), this.redis.getbit(settled, n)]);
    return known === null ? isSettled === 1 : Number(known) === n;
  }

  /** The jobs a direct batch has adopted and not settled. */
  async adoptedJobs(batch: string): Promise<ReadonlyMap<string, number>> {
    const jobs = await this.redis.hgetall(this.keys.of(batch).adopted);
    return new Map(Object.entries(jobs).map(([jobId, n]) => [jobId, Number(n)]));
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
    const { signals, fingerprints, active } = this.keys;
    const keys = [this.keys.of(batch).record, signals, fingerprints, active];
    const state = await changeScript(this.redis, keys, [event, reason, batch, resumes ?? '']);
    if (state === '') return { kind: 'no-batch' };
    return state.startsWith('!')
      ? { kind: 'refused', state: state.slice(1) as BatchState }
      : { kind: 'changed', state: state as BatchState };
  }

  /**
   * Settles as cancelled those of the items of which no call may have worked; their batch must be cancelled.
   * @param evenIfCalled - where nobody can say any more what certificate an item is
   * @returns how many
   */
  async cancelItems(batch: string, items: readonly CancelledItem[], evenIfCalled = false): Promise<number> {
    if (items.length === 0) return 0;
    const of = this.keys.of(batch);
    const { active, fingerprints } = this.keys;
    const keys = [of.record, active, fingerprints, of.settled, of.ledger, of.attempts, of.adopted];
    const rows = JSON.stringify(items.map(({ n, key }) => (key === undefined ? [n] : [n, key])));
    return cancelScript(this.redis, keys, [batch, evenIfCalled ? 1 : 0, rows]);
  }

  /**
   * Outcomes a second over the last ten seconds, from the ledger itself.
   * A fast batch is measured over its last 2,000 entries, so that the question stays cheap.
   */
  async ratePerSecond(batch: string, windowMs = 10_000): Promise<number> {
    const nowMs = await nowScript(this.redis, [this.keys.of(batch).record], []);
    const from = nowMs - windowMs;
    const entries = await this.redis.xrevrange(this.keys.of(batch).ledger, '+', `${from}`, 'COUNT', RATE_SAMPLE);
    const oldest = entries.at(-1)?.[0];
    if (oldest === undefined) return 0;
    const outcomes = entries.reduce((sum, [, fields]) => sum + outcomesOf(fields).length, 0);
    const sinceMs =
      entries.length < RATE_SAMPLE ? await this.#sinceMs(batch, nowMs, windowMs) : nowMs - Number.parseInt(oldest, 10);
    return (outcomes * 1_000) / Math.max(sinceMs, 1_000);
  }

  /** A batch younger than the window is measured over its own age. */
  async #sinceMs(batch: string, nowMs: number, windowMs: number): Promise<number> {
    const submittedAt = Number((await this.redis.hget(this.keys.of(batch).record, 'submittedAt')) ?? 0);
    return Math.min(windowMs, nowMs - submittedAt);
  }
}

const RATE_SAMPLE = 2_000;
