import type { Motive } from '../audit/note.ts';
import type { Certificate } from '../core/certificate.ts';
import { CLOCK, script } from '../runtime/redis/script.ts';
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

/**
 * Gives a job that belongs to no batch its place in a direct batch; the same job gets the same place again. A job id that stands for another
 * certificate already is kept under a name of its own: what is settled under a number is what that number's certificate heard.
 * KEYS record batches active adopted chunks; ARGV batch jobId certificate rank motive, JSON as it stands behind the key.
 * Replies { ordinal, 1 when new, what it is adopted under }; { -1, 0 } while the direct batch is cancelled and not yet drained: going on would
 * revive what was cancelled.
 */
export const ADOPT = `local record, batches, active, adopted, chunks = unpack(KEYS)
local batch, key, certificate, rank, motive = unpack(ARGV)
${STATES}
${COUNTS}
${CLOCK}
${FEED_ORDER}
local known = redis.call('HGET', adopted, key)
-- Its key stands behind the certificate, but for what a version before layout 3 wrote.
local opened = string.sub(certificate, 1, -2)
local function isSame(kept) return kept == certificate or kept and string.sub(kept, 1, #opened + 1) == opened .. ',' end
if known and not isSame(redis.call('HGET', chunks, known)) then
  key = key .. '#' .. redis.sha1hex(certificate)
  known = redis.call('HGET', adopted, key)
end
if known then return { tonumber(known), 0, key } end
local f = countsOf(record, 'state')
local state = f[6]
if state == 'cancelled' and pendingOf(f) > 0 then return { -1, 0 } end
local now, n = clockMs(), redis.call('HINCRBY', record, 'accepted', 1) - 1
if not state then
  redis.call('HSET', record, 'submittedAt', now, 'priority', 'urgent', 'layout', ${LAYOUT_VERSION})
  redis.call('ZADD', batches, now, batch)
end
redis.call('HSET', record, 'state', state and stateAfter('reopen', state) or 'running')
redis.call('HDEL', record, 'completedAt')
redis.call('HINCRBY', record, 'fed', 1)
redis.call('HSET', adopted, key, n)
redis.call('HSET', chunks, n, opened .. ',"key":' .. cjson.encode(key) .. motive .. '}')
redis.call('ZADD', active, 'NX', feedOrder(rank, now), batch)
return { n, 1, key }`;

const adoptScript = script<[number, number, string]>(ADOPT);

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
   * @throws BeingCancelled while the direct batch is cancelled and some of it is not settled yet
   */
  async adopt(
    batch: string,
    jobId: string,
    certificate: Certificate,
    { requestedBy, reason }: Motive = {},
  ): Promise<{ n: number; isNew: boolean; key: string }> {
    const { redis, keys } = this.#store;
    const of = keys.of(batch);
    const { instanceId, caSn, deviceSn } = certificate;
    const about = [of.record, keys.batches, keys.active, of.adopted, of.chunks];
    const motive = JSON.stringify({ requestedBy, reason }).slice(1, -1);
    const tail = motive === '' ? '' : `,${motive}`;
    const args = [batch, jobId, JSON.stringify({ instanceId, caSn, deviceSn }), FEED_RANK.bulk, tail];
    const [n, isNew, key] = await adoptScript(redis, about, args);
    if (n < 0) throw new BeingCancelled(batch);
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
