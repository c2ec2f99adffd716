import { auditNote, type Motive } from '../audit/note.ts';
import type { Outcome } from '../core/batch.ts';
import type { Certificate } from '../core/certificate.ts';
import { script } from '../runtime/redis/script.ts';
import { ADOPT } from './adopt-script.lua.ts';
import { outcomesOf } from './entries.ts';
import { FORGET_ITEMS } from './forget-scripts.lua.ts';
import { FEED_RANK } from './batch-record.ts';
import type { LedgerStore } from './keys.ts';

/** A direct batch takes in the jobs that belong to none; its name begins so. */
const DIRECT_PREFIX = 'direct-';

export function isDirectBatch(batch: string): boolean {
  return batch.startsWith(DIRECT_PREFIX);
}

/** The batch of an account that takes in the jobs that belong to none. */
export function directBatchOf(account: string): string {
  return `${DIRECT_PREFIX}${account}`;
}

/** The account whose jobs a direct batch takes in. */
export function accountOfDirect(batch: string): string {
  return batch.slice(DIRECT_PREFIX.length);
}

/** An item of a direct batch. */
export interface AdoptedItem extends Motive {
  readonly certificate: Certificate;
  /** What it was adopted under; absent where a version before layout 3 adopted it. */
  readonly key?: string;
  /** The code of its dead letter, where nobody was allowed to add its job: no call may be made, unless somebody retries the letter. */
  readonly refused?: string;
}

/** @param text - as the ledger keeps it */
export function parseAdopted(text: string): AdoptedItem {
  const { instanceId, caSn, deviceSn, ...rest } = JSON.parse(text) as Certificate & Omit<AdoptedItem, 'certificate'>;
  return { certificate: { instanceId, caSn, deviceSn }, ...rest };
}

/** Thrown where a direct batch takes nothing in. */
export class BeingCancelled extends Error {
  override readonly name = 'BeingCancelled';

  constructor(batch: string) {
    super(`batch ${batch} is being cancelled: try again when none of its items is pending`);
  }
}

/** Thrown where a direct batch has taken in as much within an hour as it may. It is paused, and takes in again when it is resumed. */
export class HourlyLimitReached extends Error {
  override readonly name = 'HourlyLimitReached';
  readonly batch: string;
  /** This very certificate has paused it. */
  readonly hasPaused: boolean;

  constructor(batch: string, hasPaused: boolean) {
    super(
      `batch ${batch} has accepted as many certificates within an hour as direct.maxPerHour allows: certsweep resume ${batch} continues it`,
    );
    this.batch = batch;
    this.hasPaused = hasPaused;
  }
}

/** How a job is taken in. */
export interface Adoption extends Motive {
  /** New ones that the batch may take in within an hour; any number when not given. */
  readonly maxPerHour?: number;
  /** It only gets a place for its dead letter, which has this code. It counts for no hour. */
  readonly refused?: string;
}

const adoptScript = script<[number, number, string]>(ADOPT);
const forgetScript = script<[count: number, last: string]>(FORGET_ITEMS);
/** Entries that are forgotten in one step: a few milliseconds of Redis. */
const FORGET_PAGE = 500;
/** Entries read at once. */
const ENDS_PAGE = 1_000;

/** The items of direct batches: jobs that belong to no submitted batch. */
export class DirectItems {
  readonly #store: LedgerStore;

  constructor(store: LedgerStore) {
    this.#store = store;
  }

  /**
   * Gives a job that belongs to no batch its ordinal in a direct batch. The same job id with the same certificate gets the same ordinal
   * again, until it is settled.
   * @returns `isNew` false when the job is there already; `key` is what it is adopted under: the job id, unless that names another certificate
   * @param adoption - who wanted it and why, which is kept with the item, and how it is taken in
   * @throws BeingCancelled while the direct batch is cancelled and some of it is not settled yet; HourlyLimitReached
   */
  async adopt(
    batch: string,
    jobId: string,
    certificate: Certificate,
    { requestedBy, reason, maxPerHour = Number.MAX_SAFE_INTEGER, refused = '' }: Adoption = {},
  ): Promise<{ n: number; isNew: boolean; key: string }> {
    const { redis, keys } = this.#store;
    const of = keys.of(batch);
    const { instanceId, caSn, deviceSn } = certificate;
    const { stream, head } = keys.audit;
    const about = [of.record, keys.batches, keys.active, of.adopted, of.chunks, keys.signals, stream, head];
    const motive = JSON.stringify({ requestedBy, reason }).slice(1, -1);
    const tail = motive === '' ? '' : `,${motive}`;
    const because = `it has accepted ${maxPerHour} certificates within an hour, as many as direct.maxPerHour allows: find out who adds them, then certsweep resume ${batch}`;
    const named = [batch, jobId, JSON.stringify({ instanceId, caSn, deviceSn }), FEED_RANK.bulk, tail];
    const note = auditNote({ event: 'limit-pause', batch, reason: because });
    const args = [...named, maxPerHour, because, note, refused];
    const [n, isNew, key] = await adoptScript(redis, about, args);
    if (n === -1) throw new BeingCancelled(batch);
    if (n === -2) throw new HourlyLimitReached(batch, isNew === 1);
    return { n, isNew: isNew === 1, key };
  }

  /** The certificate of one item, as its job named it; undefined when there is none. */
  async certificate(batch: string, n: number): Promise<Certificate | undefined> {
    return (await this.item(batch, n))?.certificate;
  }

  /** The same, with what the item was adopted under where that is known. */
  async item(batch: string, n: number): Promise<AdoptedItem | undefined> {
    const { redis, keys } = this.#store;
    const text = await redis.hget(keys.of(batch).chunks, String(n));
    return text === null ? undefined : parseAdopted(text);
  }

  /**
   * Takes what was settled before that moment out of Redis; the counts stay, and items with a dead letter too. In steps, so that work continues.
   * @param beforeMs - Unix milliseconds, of Redis' clock
   * @returns how many items
   */
  async forget(batch: string, beforeMs: number, { requestedBy, reason }: Motive = {}): Promise<number> {
    const { redis, keys } = this.#store;
    const { record, ledger, chunks, dead, superseded, history } = keys.of(batch);
    if (beforeMs < 1) return 0;
    const { stream, head } = keys.audit;
    const about = [record, ledger, chunks, dead, superseded, history, stream, head];
    const what = `what was settled before ${new Date(beforeMs).toISOString()}`;
    const why = reason === undefined ? what : `${what}: ${reason}`;
    const note = auditNote({ event: 'forget', batch, reason: why, ...(requestedBy !== undefined && { requestedBy }) });
    let forgotten = 0;
    for (let from = '-'; ;) {
      // The last entry of the millisecond before.
      const args = [from, beforeMs - 1, FORGET_PAGE, forgotten === 0 ? note : ''];
      const [count, last] = await forgetScript(redis, about, args);
      forgotten += count;
      if (last === '') return forgotten;
      from = `(${last}`;
    }
  }

  /**
   * How the last items of a direct batch ended.
   * @param atMost - how many of them
   */
  async lastEnds(batch: string, atMost: number): Promise<{ readonly settled: number; readonly dead: number }> {
    const { redis, keys } = this.#store;
    const { ledger, superseded } = keys.of(batch);
    const ends: Outcome[] = [];
    for (let to = '+'; ends.length < atMost;) {
      const entries = await redis.xrevrange(ledger, to, '-', 'COUNT', ENDS_PAGE);
      if (entries.length === 0) break;
      const isSuperseded = await redis.smismember(superseded, ...entries.map(([id]) => id));
      for (const [at, [, fields]] of entries.entries()) {
        if (isSuperseded[at] === 0) ends.push(...outcomesOf(fields).map(({ outcome }) => outcome));
      }
      to = `(${entries.at(-1)?.[0] ?? ''}`;
    }
    const last = ends.slice(0, atMost);
    return { settled: last.length, dead: last.filter((outcome) => outcome === 'dead').length };
  }

  /** Whether the item was settled, and taken out of Redis since. */
  async isForgotten(batch: string, n: number): Promise<boolean> {
    const { redis, keys } = this.#store;
    const { chunks, settled } = keys.of(batch);
    const [isSettled, isThere] = await Promise.all([redis.getbit(settled, n), redis.hexists(chunks, String(n))]);
    return isSettled === 1 && isThere === 0;
  }

  /** Whether the job has that place in a direct batch, or had it before the item was settled. */
  async isAdoptedAs(batch: string, key: string, n: number): Promise<boolean> {
    const { redis, keys } = this.#store;
    const { adopted, settled } = keys.of(batch);
    const [known, isSettled] = await Promise.all([redis.hget(adopted, key), redis.getbit(settled, n)]);
    return known === null ? isSettled === 1 : Number(known) === n;
  }

  /** The jobs a direct batch has adopted and not settled. */
  async jobs(batch: string): Promise<ReadonlyMap<string, number>> {
    const { redis, keys } = this.#store;
    const jobs = await redis.hgetall(keys.of(batch).adopted);
    return new Map(Object.entries(jobs).map(([jobId, n]) => [jobId, Number(n)]));
  }
}
