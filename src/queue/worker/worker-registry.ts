import { createHash, randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { LAYOUT_VERSION, layoutKey, NewerLayout } from '../../ledger/layout.ts';
import { script } from '../../runtime/redis/script.ts';
import type { OthersView } from '../process/host-watch.ts';
import { GOOD_FOR_MS, instancesKey, LIVE, readEntry, workersKey } from '../../limiter/halts/host-halts.ts';

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

/** A halt of one process alone, as it announces it. */
export interface AnnouncedHalt {
  readonly account: string;
  readonly code: string;
  readonly message: string;
  /** Of `performance.now()`. */
  readonly sinceMs: number;
}

/** What a process says of itself each time. */
export interface Word {
  readonly halts: readonly AnnouncedHalt[];
  /** When the last call left that proved access, by account, of `performance.now()`. */
  readonly proved: Readonly<Record<string, number>>;
}

/**
 * Looks and announces in one step, so that of two that begin at once only one passes. The instances are compared when a worker joins: they may be
 * thousands, and a process never changes them. They stand once for all workers that have the same.
 */
const announce = script<string[]>(`${LIVE}
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

/** What the last announcement was answered with: the other workers, and Redis' time somewhere between the question and the answer. */
interface Heard {
  readonly others: readonly string[];
  readonly redisMs: number;
  readonly askedMs: number;
  readonly answeredMs: number;
}

/** The process' place among the workers of this Redis. */
export class WorkerRegistry {
  readonly #redis: Redis;
  readonly #keys: readonly string[];
  readonly #id = randomUUID();
  readonly #who: { readonly digest: string; readonly host: string; readonly pid: number; readonly layout: number };
  /** JSON of `{ instance: account }`. */
  readonly #instances: string;
  #isAnnounced = false;
  #heard: Heard | undefined;

  constructor({ redis, prefix, host, pid, accounts }: RegistryOptions) {
    this.#redis = redis;
    this.#keys = [workersKey(prefix), instancesKey(prefix), layoutKey(prefix)];
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
  async announce(word: Word = { halts: [], proved: {} }): Promise<void> {
    const askedMs = performance.now();
    const reply = await this.#announce(word, this.#isAnnounced ? '' : this.#instances);
    const [kind = '', ...rest] = reply[0] === 'unknown' ? await this.#announce(word, this.#instances) : reply;
    if (kind === 'newer') throw new NewerLayout(Number(rest[0]));
    if (kind === 'conflict') throw new WorkerConflict(describeConflict(rest));
    this.#isAnnounced = true;
    const [now, ...others] = rest;
    this.#heard = { others, redisMs: Number(now), askedMs, answeredMs: performance.now() };
  }

  /** What the others have announced of an account. */
  othersOf(account: string): OthersView {
    const isAlone = (): boolean => (this.#heard?.others ?? []).length === 0;
    return {
      get isAlone() {
        return isAlone();
      },
      provenSince: (sinceMs) => {
        const redisMs = this.#latest(sinceMs);
        return (this.#heard?.others ?? []).some((text) => (readEntry(text)?.proved[account] ?? 0) > redisMs);
      },
    };
  }

  async leave(): Promise<void> {
    await this.#redis.hdel(this.#keys[0] ?? '', this.#id);
  }

  #announce({ halts, proved }: Word, instances: string): Promise<string[]> {
    const entry = {
      ...this.#who,
      halts: halts.map(({ account, code, message, sinceMs }) => {
        return { account, code, message, since: Math.round(this.#earliest(sinceMs)) };
      }),
      proved: Object.fromEntries(Object.entries(proved).map(([name, ms]) => [name, Math.floor(this.#earliest(ms))])),
    };
    const args = [GOOD_FOR_MS, this.#id, LAYOUT_VERSION, entry.digest, JSON.stringify(entry), instances];
    return announce(this.#redis, this.#keys, args);
  }

  /** A moment of this process in Redis' time, no later than it was, */
  #earliest(ms: number): number {
    return this.#heard === undefined ? 0 : this.#heard.redisMs + ms - this.#heard.answeredMs;
  }

  /** and no earlier. */
  #latest(ms: number): number {
    return this.#heard === undefined ? Number.POSITIVE_INFINITY : this.#heard.redisMs + ms - this.#heard.askedMs;
  }
}

function describeConflict([instance = '', mine = '', theirs = '', entry = '{}']: readonly string[]): string {
  const { host = 'another host', pid = 0 } = JSON.parse(entry) as { readonly host?: string; readonly pid?: number };
  return [
    `The instance ${instance} belongs to account ${mine} here, and to account ${theirs} for the worker on ${host} (process ${pid}).`,
    'Two names for one cloud account would call it at twice its pace.',
    `Give the account the same name in every configuration; to rename it, stop all workers that call it ${theirs}, wait ${GOOD_FOR_MS / 1_000} s, then start the others.`,
  ].join(' ');
}
