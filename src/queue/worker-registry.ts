import { createHash, randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { LAYOUT_VERSION, layoutKey, NewerLayout } from '../ledger/layout.ts';
import { script } from '../runtime/redis/script.ts';

/** An announcement is good for so long, by Redis' clock. */
export const GOOD_FOR_MS = 10_000;

export interface RegistryOptions {
  /** A connection of the `worker` role; it stays the caller's. */
  readonly redis: Redis;
  readonly prefix: string;
  readonly host: string;
  readonly pid: number;
  readonly accounts: readonly { readonly name: string; readonly instances: readonly string[] }[];
}

/** Two names for one cloud account: each name has a clock of its own, so together they would call at twice the pace. */
export class WorkerConflict extends Error {
  override readonly name = 'WorkerConflict';
}

const KEEPS_TIME = `local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function isLive(entry)
  return math.abs(now - tonumber(string.match(entry, '^{"at":(%d+)'))) <= tonumber(ARGV[1])
end
`;

/**
 * Looks and announces in one step, so that of two that begin at once only one passes. The instances are compared when a worker joins: they may be
 * thousands, and a process never changes them. They stand once for all workers that have the same.
 */
const announce = script<string[]>(`${KEEPS_TIME}
local layout = tonumber(redis.call('GET', KEYS[3]) or 0)
if layout > tonumber(ARGV[3]) then return { 'newer', tostring(layout) } end
local others, digests, isKnown, isPruned = {}, {}, false, false
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local entry = all[at + 1]
  if not isLive(entry) then
    redis.call('HDEL', KEYS[1], all[at])
    isPruned = true
  elseif all[at] == ARGV[2] then
    isKnown = true
  else
    others[#others + 1] = entry
    digests[string.match(entry, '"digest":"(%x+)"')] = entry
  end
end
if not isKnown then
  if ARGV[6] == '' then return { 'unknown' } end
  local mine = cjson.decode(ARGV[6])
  for digest, entry in pairs(digests) do
    if digest ~= ARGV[4] then
      local theirs = cjson.decode(redis.call('HGET', KEYS[2], digest) or '{}')
      for instance, account in pairs(mine) do
        if theirs[instance] and theirs[instance] ~= account then
          return { 'conflict', instance, account, theirs[instance], entry }
        end
      end
    end
  end
  redis.call('HSET', KEYS[2], ARGV[4], ARGV[6])
end
if isPruned then
  for _, digest in ipairs(redis.call('HKEYS', KEYS[2])) do
    if digest ~= ARGV[4] and not digests[digest] then redis.call('HDEL', KEYS[2], digest) end
  end
end
redis.call('HSET', KEYS[1], ARGV[2], '{"at":' .. string.format('%.0f', now) .. ',' .. string.sub(ARGV[5], 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
if layout < tonumber(ARGV[3]) then redis.call('SET', KEYS[3], ARGV[3]) end
return { 'announced', string.format('%.0f', now), unpack(others) }`);

/** The process' place among the workers of this Redis. */
export class WorkerRegistry {
  readonly #redis: Redis;
  readonly #keys: readonly string[];
  readonly #id = randomUUID();
  readonly #who: { readonly digest: string; readonly host: string; readonly pid: number; readonly layout: number };
  /** JSON of `{ instance: account }`. */
  readonly #instances: string;
  #isAnnounced = false;

  constructor({ redis, prefix, host, pid, accounts }: RegistryOptions) {
    this.#redis = redis;
    this.#keys = [workersKey(prefix), `${workersKey(prefix)}:instances`, layoutKey(prefix)];
    const owners = accounts.flatMap(({ name, instances }) => instances.map((instance) => [instance, name] as const));
    const sorted = owners.toSorted(([a], [b]) => (a < b ? -1 : 1));
    this.#instances = JSON.stringify(Object.fromEntries(sorted));
    const digest = createHash('sha1').update(this.#instances).digest('hex');
    this.#who = { digest, host, pid, layout: LAYOUT_VERSION };
  }

  /**
   * Says that this process works; to be said again each second or two. A process that was away for longer than its word was good is judged like
   * one that begins.
   * @throws WorkerConflict, NewerLayout: then it must not work; or the client's error
   */
  async announce(): Promise<void> {
    const reply = await this.#announce(this.#isAnnounced ? '' : this.#instances);
    const [kind = '', ...rest] = reply[0] === 'unknown' ? await this.#announce(this.#instances) : reply;
    if (kind === 'newer') throw new NewerLayout(Number(rest[0]));
    if (kind === 'conflict') throw new WorkerConflict(describeConflict(rest));
    this.#isAnnounced = true;
  }

  async leave(): Promise<void> {
    await this.#redis.hdel(this.#keys[0] ?? '', this.#id);
  }

  #announce(instances: string): Promise<string[]> {
    const { digest } = this.#who;
    const args = [GOOD_FOR_MS, this.#id, LAYOUT_VERSION, digest, JSON.stringify(this.#who), instances];
    return announce(this.#redis, this.#keys, args);
  }
}

function workersKey(prefix: string): string {
  return `${prefix}:workers`;
}

function describeConflict([instance = '', mine = '', theirs = '', entry = '{}']: readonly string[]): string {
  const { host = 'another host', pid = 0 } = JSON.parse(entry) as { readonly host?: string; readonly pid?: number };
  return [
    `The instance ${instance} belongs to account ${mine} here, and to account ${theirs} for the worker on ${host} (process ${pid}).`,
    'Two names for one cloud account would call it at twice its pace.',
    `Give the account the same name in every configuration; to rename it, stop all workers that call it ${theirs}, wait ${GOOD_FOR_MS / 1_000} s, then start the others.`,
  ].join(' ');
}
