import { script } from '../runtime/redis/script.ts';
import type { ChunkRanges } from './chunk.ts';
import type { LedgerStore } from './keys.ts';

/** How an instance's items of a batch are found and how far they have been fed. */
export interface Lane {
  readonly instanceId: string;
  readonly chunks: ChunkRanges;
  /** The ordinal from which to continue. */
  readonly cursor: number;
}

/**
 * Notes how far an instance has been fed, from where the feeder began: one that was overtaken meanwhile is refused. So `fed` is at every moment
 * the number of items below the cursors.
 * KEYS record cursors; ARGV instance from to count.
 * Replies 1, or 0 when somebody else has moved the cursor.
 */
const ADVANCE = `local record, cursors = unpack(KEYS)
local instance, from, to, count = unpack(ARGV)
if tonumber(redis.call('HGET', cursors, instance) or 0) ~= tonumber(from) then return 0 end
-- Without any cursor nothing counts as fed, also where Redis has lost them.
if redis.call('EXISTS', cursors) == 0 then redis.call('HSET', record, 'fed', 0) end
redis.call('HSET', cursors, instance, to)
redis.call('HINCRBY', record, 'fed', count)
return 1`;

/**
 * Writes lanes that Redis has lost, unless another process has.
 * KEYS record lanes; ARGV instance chunks, and so on.
 */
const RESTORE_LANES = `local record, lanes = unpack(KEYS)
if redis.call('EXISTS', record) == 0 or redis.call('EXISTS', lanes) == 1 then return end
for at = 1, #ARGV, 2 do redis.call('HSET', lanes, ARGV[at], ARGV[at + 1]) end`;

const advanceScript = script<number>(ADVANCE);
const restoreScript = script<null>(RESTORE_LANES);

/** How far the items of submitted batches have been fed. */
export class Lanes {
  readonly #store: LedgerStore;

  constructor(store: LedgerStore) {
    this.#store = store;
  }

  /** Those of a batch; none of a direct one. */
  async of(batch: string): Promise<Lane[]> {
    const { redis, keys } = this.#store;
    const of = keys.of(batch);
    const [lanes, cursors] = await Promise.all([redis.hgetall(of.lanes), redis.hgetall(of.cursors)]);
    return Object.entries(lanes).map(([instanceId, chunks]) => ({
      instanceId,
      chunks: JSON.parse(chunks) as ChunkRanges,
      cursor: Number(cursors[instanceId] ?? 0),
    }));
  }

  /** The ordinal at which feeding of an instance's items continues. */
  async cursor(batch: string, instanceId: string): Promise<number> {
    const { redis, keys } = this.#store;
    return Number((await redis.hget(keys.of(batch).cursors, instanceId)) ?? 0);
  }

  /** Writes the lanes of a batch that has none. */
  async restore(batch: string, lanes: ReadonlyMap<string, ChunkRanges>): Promise<void> {
    const { redis, keys } = this.#store;
    const of = keys.of(batch);
    const args = [...lanes].flatMap(([instanceId, chunks]) => [instanceId, JSON.stringify(chunks)]);
    await restoreScript(redis, [of.record, of.lanes], args);
  }

  /**
   * Notes that a lane's items below `to`, `count` of them at or above its cursor, were handed to the queue.
   * @returns false when another process has moved the cursor since the lane was read: nothing is noted
   */
  async advance(batch: string, { instanceId, cursor }: Lane, to: number, count: number): Promise<boolean> {
    const { redis, keys } = this.#store;
    const of = keys.of(batch);
    return (await advanceScript(redis, [of.record, of.cursors], [instanceId, cursor, to, count])) === 1;
  }
}
