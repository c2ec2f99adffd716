import { CLOCK, script } from '../runtime/redis/script.ts';
import type { LedgerStore } from './keys.ts';
import { BITS } from './script-parts.lua.ts';

/** An item that was taken out of the waiting place. */
export interface Claim {
  readonly batch: string;
  readonly n: number;
  readonly instanceId: string;
  /** What the claim rests on: the item's time in the place, milliseconds since 1970 by Redis' clock. */
  readonly score: number;
}

export interface Claimed {
  readonly claims: readonly Claim[];
  /** Until the next item may continue, milliseconds; undefined where none waits. */
  readonly nextInMs?: number;
}

/**
 * Items of a paused batch are not taken: they wait for this time, all that are checked in one step.
 * KEYS waiting...; ARGV leaseMs, what the key of a batch's record begins with, then for each key how many.
 * Replies { nextInMs or -1, end of the claims, { key index, member } ... }.
 */
const CLAIM = `local leaseMs, record = tonumber(ARGV[1]), ARGV[2]
local function mostOf(at) return tonumber(ARGV[2 + at]) end
${CLOCK}
local LOOKED_AT, PAUSED_MS = 500, 5000
local now = clockMs()
local found, nextIn, paused = {}, -1, {}
local function isPaused(batch)
  if paused[batch] == nil then paused[batch] = redis.call('HGET', record .. batch, 'state') == 'paused' end
  return paused[batch]
end
for at, key in ipairs(KEYS) do
  local most, taken, moved = mostOf(at), 0, {}
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  local isDue = first[2] and tonumber(first[2]) <= now
  local due = isDue and redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, LOOKED_AT) or {}
  for _, member in ipairs(due) do
    local wait
    if isPaused(string.match(member, '^(.*) %d+$')) then wait = PAUSED_MS
    elseif taken < most then
      taken, wait = taken + 1, leaseMs
      found[#found + 1] = { at, member }
    end
    if wait then
      moved[#moved + 1] = now + wait
      moved[#moved + 1] = member
    end
  end
  if #moved > 0 then redis.call('ZADD', key, unpack(moved)) end
  local wait = 0
  if #moved == 2 * #due then
    if isDue then first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES') end
    wait = first[2] and math.max(0, tonumber(first[2]) - now)
  end
  if wait and (nextIn < 0 or wait < nextIn) then nextIn = wait end
end
return { tostring(nextIn), string.format('%.0f', now + leaseMs), found }`;

/** KEYS settled waiting; ARGV batch n...: what is neither settled nor waits already, waits now. Replies how many. */
const PARK = `local settled, waiting = unpack(KEYS)
local batch, ordinals = ARGV[1], { unpack(ARGV, 2) }
${BITS}
${CLOCK}
local now = clockMs()
local bits, added = bitsOf(settled, ordinals), {}
for at, n in ipairs(ordinals) do
  if bits[at] == 0 then
    added[#added + 1] = now
    added[#added + 1] = batch .. ' ' .. n
  end
end
return #added > 0 and redis.call('ZADD', waiting, 'NX', unpack(added)) or 0`;

const claimScript = script<[nextInMs: string, score: string, found: [number, string][]]>(CLAIM);
const parkScript = script<number>(PARK);
/** Items put in the place in one step. */
const PAGE = 1_000;

/**
 * The place where items wait that no job holds: for another try, for the end of a pause or a halt, or after their dead letter was retried. An item
 * stays in it until it is settled, so nothing of it is lost with the process that works on it: that process has a claim, which is the item's time in
 * the place, set ahead; when it has passed, another one takes the item.
 */
export class WaitingPlace {
  readonly #store: LedgerStore;

  constructor(store: LedgerStore) {
    this.#store = store;
  }

  /**
   * Takes items whose time has come, for this time.
   * @param most - of each instance, how many
   */
  async claim(most: ReadonlyMap<string, number>, leaseMs: number): Promise<Claimed> {
    const { redis, keys } = this.#store;
    const instances = [...most.keys()];
    if (instances.length === 0) return { claims: [] };
    const places = instances.map((instanceId) => keys.waiting(instanceId));
    const args = [leaseMs, keys.of('').record, ...most.values()];
    const [nextInMs, score, found] = await claimScript(redis, places, args);
    const claims = found.map(([at, member]): Claim => {
      const space = member.lastIndexOf(' ');
      return {
        batch: member.slice(0, space),
        n: Number(member.slice(space + 1)),
        instanceId: instances[at - 1] ?? '',
        score: Number(score),
      };
    });
    return Number(nextInMs) < 0 ? { claims } : { claims, nextInMs: Number(nextInMs) };
  }

  /** Has items wait that have lost what held them; those that are settled or wait already stay as they are. */
  async park(batch: string, instanceId: string, ordinals: readonly number[]): Promise<void> {
    const { redis, keys } = this.#store;
    for (let from = 0; from < ordinals.length; from += PAGE) {
      const page = ordinals.slice(from, from + PAGE);
      await parkScript(redis, [keys.of(batch).settled, keys.waiting(instanceId)], [batch, ...page]);
    }
  }

  /** Removes an entry that no longer names an item. */
  async drop({ batch, n, instanceId }: Claim): Promise<void> {
    const { redis, keys } = this.#store;
    await redis.zrem(keys.waiting(instanceId), `${batch} ${n}`);
  }

  /** How many items of each instance wait. */
  async counts(instances: readonly string[]): Promise<number[]> {
    const { redis, keys } = this.#store;
    return Promise.all(instances.map((instanceId) => redis.zcard(keys.waiting(instanceId))));
  }

  /** Of each item, whether it waits. */
  async areWaiting(
    batch: string,
    items: readonly { readonly n: number; readonly instanceId: string }[],
  ): Promise<boolean[]> {
    const { redis, keys } = this.#store;
    const byInstance = new Map<string, number[]>();
    for (const { n, instanceId } of items) {
      const ordinals = byInstance.get(instanceId) ?? [];
      ordinals.push(n);
      byInstance.set(instanceId, ordinals);
    }
    const found = new Set<number>();
    for (const [instanceId, ordinals] of byInstance) {
      const members = ordinals.map((n) => `${batch} ${n}`);
      const scores = await redis.zmscore(keys.waiting(instanceId), ...members);
      ordinals.forEach((n, at) => scores[at] !== null && found.add(n));
    }
    return items.map(({ n }) => found.has(n));
  }
}
