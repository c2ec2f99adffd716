import { auditNote, type Motive } from '../audit/note.ts';
import { AUDIT } from '../audit/record.lua.ts';
import type { Outcome } from '../core/batch.ts';
import type { Certificate } from '../core/certificate.ts';
import { CLOCK, script } from '../runtime/redis/script.ts';
import { outcomesOf } from './entries.ts';
import { FORGET_ITEMS } from './forget-scripts.lua.ts';
import { FEED_RANK } from './batch-record.ts';
import type { LedgerStore } from './keys.ts';
import { LAYOUT_VERSION } from './layout.ts';
import { COUNTS, FEED_ORDER, STATES } from './script-parts.lua.ts';

/** A direct batch takes in the jobs that belong to none; its name begins so. */
const DIRECT_PREFIX = 'direct-';

export function isDirectBatch(batch: string): boolean {
  return batch.startsWith(DIRECT_PREFIX);
}

/** The batch of an account that takes in the jobs that belong to none. */
export function directBatchOf(account: string): string {
  return `${DIRECT_PREFIX}${account}`;
}

/** An item of a direct batch. */
export interface AdoptedItem extends Motive {
  readonly certificate: Certificate;
  /** What it was adopted under; absent where a version before layout 3 adopted it. */
  readonly key?: string;
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
      `batch ${batch} has taken in as many certificates within an hour as it may: certsweep resume ${batch} goes on`,
    );
    this.batch = batch;
    this.hasPaused = hasPaused;
  }
}

/**
 * Lua: `takenWithin` is how many certificates a direct batch has taken in within the last hour, in steps of a minute that are never too short, and the
 * minutes that it knows; `oneMore` adds one. They are in a field of the record, as [[minute, count], ...]; a resume takes it away.
 */
const HOUR = `local function takenWithin(text, now)
  local minute, minutes, count = math.floor(now / 60000), {}, 0
  for _, known in ipairs(cjson.decode(text or '[]')) do
    -- Also those ahead: the clock may have gone back.
    if math.abs(known[1] - minute) <= 60 then
      minutes[#minutes + 1], count = known, count + known[2]
    end
  end
  return count, minutes
end
local function oneMore(minutes, now)
  local minute, last = math.floor(now / 60000), minutes[#minutes]
  if last and last[1] == minute then last[2] = last[2] + 1 else minutes[#minutes + 1] = { minute, 1 } end
  return cjson.encode(minutes)
end`;

/**
 * Gives a job that belongs to no batch its place in a direct batch; the same job gets the same place again. A job id that stands for another
 * certificate already is kept under a name of its own: what is settled under a number is what that number's certificate heard.
 * KEYS record batches active adopted chunks signals, the audit record's two;
 * ARGV batch jobId certificate rank motive (JSON as it stands behind the key) maxPerHour pausedBecause note (of the pause).
 * Replies { ordinal, 1 when new, what it is adopted under }; { -1, 0 } while the direct batch is cancelled and not yet drained: going on would
 * revive what was cancelled; { -2, 1 when this paused the batch } where it has taken in as much within an hour as it may.
 */
export const ADOPT = `local record, batches, active, adopted, chunks, signals, stream, head = unpack(KEYS)
local batch, key, certificate, rank, motive, maxPerHour, pausedBecause, note = unpack(ARGV)
${AUDIT}
${STATES}
${HOUR}
${COUNTS}
${CLOCK}
${FEED_ORDER}
local known = redis.call('HGET', adopted, key)
-- Its key stands behind the certificate, but for what a version before layout 3 wrote.
local unclosed = string.sub(certificate, 1, -2)
local function isSame(kept) return kept == certificate or kept and string.sub(kept, 1, #unclosed + 1) == unclosed .. ',' end
if known and not isSame(redis.call('HGET', chunks, known)) then
  key = key .. '#' .. redis.sha1hex(certificate)
  known = redis.call('HGET', adopted, key)
end
if known then return { tonumber(known), 0, key } end
local f = countsOf(record, 'state', 'taken')
local state = f[6]
if state == 'cancelled' and pendingOf(f) > 0 then return { -1, 0 } end
local now = clockMs()
local count, minutes = takenWithin(f[7], now)
local opened = state and stateAfter('reopen', state) or 'running'
if state and count >= tonumber(maxPerHour) then
  if state == 'paused' then return { -2, 0 } end
  redis.call('HSET', record, 'state', stateAfter('pause', opened), 'pausedBecause', pausedBecause)
  redis.call('HDEL', record, 'completedAt')
  redis.call('INCR', signals)
  audit(stream, head, auditNote(note), auditCounts(record))
  return { -2, 1 }
end
local n = redis.call('HINCRBY', record, 'accepted', 1) - 1
if not state then
  redis.call('HSET', record, 'submittedAt', now, 'priority', 'urgent', 'layout', ${LAYOUT_VERSION})
  redis.call('ZADD', batches, now, batch)
end
redis.call('HSET', record, 'state', opened, 'taken', oneMore(minutes, now))
redis.call('HDEL', record, 'completedAt')
redis.call('HINCRBY', record, 'fed', 1)
redis.call('HSET', adopted, key, n)
redis.call('HSET', chunks, n, unclosed .. ',"key":' .. cjson.encode(key) .. motive .. '}')
redis.call('ZADD', active, 'NX', feedOrder(rank, now), batch)
return { n, 1, key }`;

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
   * @returns `isNew` false when the job is there already; `key` is what it is adopted under: the job id, unless that stands for another certificate
   * @param rules - who wanted it and why, which is kept with the item; `maxPerHour`: how many new ones the batch may take in within an hour; any number when not given
   * @throws BeingCancelled while the direct batch is cancelled and some of it is not settled yet; HourlyLimitReached
   */
  async adopt(
    batch: string,
    jobId: string,
    certificate: Certificate,
    { requestedBy, reason, maxPerHour = Number.MAX_SAFE_INTEGER }: Motive & { readonly maxPerHour?: number } = {},
  ): Promise<{ n: number; isNew: boolean; key: string }> {
    const { redis, keys } = this.#store;
    const of = keys.of(batch);
    const { instanceId, caSn, deviceSn } = certificate;
    const { stream, head } = keys.audit;
    const about = [of.record, keys.batches, keys.active, of.adopted, of.chunks, keys.signals, stream, head];
    const motive = JSON.stringify({ requestedBy, reason }).slice(1, -1);
    const tail = motive === '' ? '' : `,${motive}`;
    const because = `it has taken in ${maxPerHour} certificates within an hour, as many as direct.maxPerHour allows: look at who adds them, then certsweep resume ${batch}`;
    const named = [batch, jobId, JSON.stringify({ instanceId, caSn, deviceSn }), FEED_RANK.bulk, tail];
    const note = auditNote({ event: 'limit-pause', batch, reason: because });
    const args = [...named, maxPerHour, because, note];
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
    if (text === null) return undefined;
    const { instanceId, caSn, deviceSn, ...rest } = JSON.parse(text) as Certificate & Omit<AdoptedItem, 'certificate'>;
    return { certificate: { instanceId, caSn, deviceSn }, ...rest };
  }

  /**
   * Takes what was settled before that moment out of Redis; the counts stay, and items with a dead letter too. In steps, so that work goes on.
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
