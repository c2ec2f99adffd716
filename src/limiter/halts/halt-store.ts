import type { Redis } from 'ioredis';
import { z } from 'zod';
import { auditKeys } from '../../audit/entry.ts';
import { auditNote } from '../../audit/note.ts';
import { AUDIT } from '../../audit/record.lua.ts';
import type { HaltScope } from '../../core/decide.ts';
import { CLOCK, script } from '../../runtime/redis/script.ts';
import { limiterKeys, type LimiterOptions, type Stop } from '../contract.ts';
import { describeStop, parseStop, STOP_MARK, STOPPED } from './stop.ts';

/** A stopped account, or one stopped instance of it. Times are milliseconds since 1970 by Redis' clock. */
export interface Halt {
  readonly account: string;
  /** Absent where the whole account is stopped. */
  readonly instanceId?: string;
  readonly code: string;
  readonly message: string;
  readonly since: number;
  readonly nextProbeAt: number;
}

/** The halts as they were at one moment. */
export interface HaltsSeen {
  readonly halts: readonly Halt[];
  /** Value of the signals counter at that moment. */
  readonly signals: number;
  /** Redis' time at that moment, milliseconds since 1970. */
  readonly nowMs: number;
  /** Every call of every account is stopped. */
  readonly stop?: Stop;
}

/** Outcome of a try to become the one prober of an interval. */
export type ProbeTry =
  /** `probeMark` names this probe, as long as nobody else has probed or halted since. */
  | { readonly kind: 'granted'; readonly probeMark: string }
  | { readonly kind: 'taken'; readonly waitMs: number }
  | { readonly kind: 'not-halted' };

/** Field of a halt in the `halts` and `probes` hashes: JSON, since names may contain any separator. */
export function markOf(account: string, instanceId?: string): string {
  return JSON.stringify(instanceId === undefined ? [account] : [account, instanceId]);
}

/** Twice what a job that was sent away comes back late at most: it waits up to half as long again as to the next probe. */
const OVERDUE_MS = 30_000;

const markSchema = z.union([z.tuple([z.string()]), z.tuple([z.string(), z.string()])]);
const haltSchema = z.object({ code: z.string(), message: z.string(), since: z.number() });

const NOW = `${CLOCK}
local now = clockMs()
`;

const readSeen = script<[number, string, string[], string[]]>(`${NOW}
return { tonumber(redis.call('GET', KEYS[3]) or 0), string.format('%.0f', now), redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]) }`);

// The last two keys are those of the audit record, in both.
const mark = script<number>(`${NOW}
${AUDIT}
local note = auditNote(ARGV[5])
if auditedBefore(KEYS[4], note) then return 1 end
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode({ code = ARGV[2], message = ARGV[3], since = now }))
redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', now + ARGV[4]))
redis.call('INCR', KEYS[3])
audit(KEYS[4], KEYS[5], note)
return 1`);

const unmark = script<number>(`${AUDIT}
local note = auditNote(ARGV[1])
if auditedBefore(KEYS[4], note) then return 1 end
local count = redis.call('HDEL', KEYS[1], unpack(ARGV, 2))
redis.call('HDEL', KEYS[2], unpack(ARGV, 2))
if count > 0 then
  redis.call('INCR', KEYS[3])
  audit(KEYS[4], KEYS[5], note)
end
return count`);

// One probe covers the account's and the instance's mark. A probe further off than an interval was set before Redis' clock went back.
const probe = script<[number, string]>(`${NOW}
local interval, wait, marks = tonumber(ARGV[1]), 0, {}
for at = 2, #ARGV do
  if redis.call('HEXISTS', KEYS[1], ARGV[at]) == 1 then
    marks[#marks + 1] = ARGV[at]
    local left = tonumber(redis.call('HGET', KEYS[2], ARGV[at]) or 0) - now
    if left <= interval then wait = math.max(wait, left) end
  end
end
if #marks == 0 then return { -1, '' } end
if wait > 0 then return { math.ceil(wait), '' } end
local nextAt = string.format('%.0f', now + interval)
for _, field in ipairs(marks) do redis.call('HSET', KEYS[2], field, nextAt) end
return { 0, nextAt }`);

// Only what this probe has set: the rest is another one's, or a later halt's.
const giveBack = script<number>(`${NOW}
local count = 0
for at = 2, #ARGV do
  if redis.call('HGET', KEYS[2], ARGV[at]) == ARGV[1] then
    redis.call('HSET', KEYS[2], ARGV[at], string.format('%.0f', now))
    count = count + 1
  end
end
if count > 0 then redis.call('INCR', KEYS[3]) end
return count`);

export type HaltStore = ReturnType<typeof openHaltStore>;

/** The halts of one account in Redis. Its functions reject with Redis' errors. */
export function openHaltStore({ redis, prefix, account }: LimiterOptions, probeIntervalMs: number) {
  const { halts, probes, signals } = limiterKeys(prefix, account.name, '');
  const keys = [halts, probes, signals];
  const { stream, head } = auditKeys(prefix);
  const audited = [...keys, stream, head];
  const both = (instanceId: string): string[] => [markOf(account.name), markOf(account.name, instanceId)];
  return {
    read: (): Promise<HaltsSeen> => seenAt(redis, keys, account.name),
    /** True where there was no such mark. */
    async mark(scope: HaltScope, instanceId: string, code: string, message: string): Promise<boolean> {
      const field = scope === 'account' ? markOf(account.name) : markOf(account.name, instanceId);
      const what =
        scope === 'account' ? `account ${account.name}` : `instance ${instanceId} of account ${account.name}`;
      const note = auditNote({ event: 'halt', reason: `${what}: ${code}: ${message}` });
      return (await mark(redis, audited, [field, code, message, probeIntervalMs, note])) === 1;
    },
    /** Takes off the account's and the instance's mark; true where there was one. */
    async unmark(instanceId: string): Promise<boolean> {
      const reason = `account ${account.name}: the probe of instance ${instanceId} succeeded`;
      return (await unmark(redis, audited, [auditNote({ event: 'lift', reason }), ...both(instanceId)])) > 0;
    },
    async tryProbe(instanceId: string): Promise<ProbeTry> {
      const [waitMs, probeMark] = await probe(redis, keys, [probeIntervalMs, ...both(instanceId)]);
      if (waitMs < 0) return { kind: 'not-halted' };
      return waitMs === 0 ? { kind: 'granted', probeMark } : { kind: 'taken', waitMs };
    },
    /** The probe has told nothing: the next try is granted to any process. */
    async giveBack(instanceId: string, probeMark: string): Promise<void> {
      await giveBack(redis, keys, [probeMark, ...both(instanceId)]);
    },
  };
}

/**
 * All halts, for a status page.
 * @param account - only this one's
 */
export async function readHalts(redis: Redis, prefix: string, account?: string): Promise<Halt[]> {
  return [...(await seenOfAll(redis, prefix, account)).halts];
}

/**
 * The account's halts that keep items out of its queue; the stop of all calls is one of them. A halt whose probe is long overdue does not: the jobs that would have made it are gone, as
 * when their batch was cancelled, so that only a new one can. Nor does one that is as far ahead: Redis' clock went back since.
 */
export async function standingHalts(redis: Redis, prefix: string, account: string): Promise<Halt[]> {
  const { halts, nowMs, stop } = await seenOfAll(redis, prefix, account);
  if (stop !== undefined) {
    return [{ account, code: STOPPED, message: describeStop(stop), since: stop.since, nextProbeAt: nowMs }];
  }
  return halts.filter(({ nextProbeAt }) => Math.abs(nowMs - nextProbeAt) <= OVERDUE_MS);
}

function seenOfAll(redis: Redis, prefix: string, account: string | undefined): Promise<HaltsSeen> {
  // The keys of the halts are the same for all accounts.
  const { halts, probes, signals } = limiterKeys(prefix, '', '');
  return seenAt(redis, [halts, probes, signals], account);
}

async function seenAt(redis: Redis, keys: readonly string[], account: string | undefined): Promise<HaltsSeen> {
  const [signals, nowMs, marks, probes] = await readSeen(redis, keys, []);
  const nextProbes = new Map(pairs(probes));
  const all = pairs(marks);
  const stop = all.find(([field]) => field === STOP_MARK)?.[1];
  const ofHalts = all.filter(([field]) => field !== STOP_MARK);
  const halts = ofHalts.map(([field, text]): Halt => {
    const [name, instanceId] = markSchema.parse(JSON.parse(field));
    const halt = haltSchema.parse(JSON.parse(text));
    const nextProbeAt = Number(nextProbes.get(field) ?? nowMs);
    return { account: name, ...(instanceId === undefined ? {} : { instanceId }), ...halt, nextProbeAt };
  });
  return {
    halts: halts.filter((halt) => account === undefined || halt.account === account),
    signals,
    nowMs: Number(nowMs),
    ...(stop !== undefined && { stop: parseStop(stop) }),
  };
}

function pairs(flat: readonly string[]): [string, string][] {
  const found: [string, string][] = [];
  for (let at = 0; at + 1 < flat.length; at += 2) found.push([flat[at] ?? '', flat[at + 1] ?? '']);
  return found;
}
