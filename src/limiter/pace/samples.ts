import type { Redis } from 'ioredis';
import { z } from 'zod';
import { script } from '../../runtime/redis/script.ts';
import { accountKey, egressKey, limiterKeys, sampledKey, samplesKey, type ClockOf } from '../contract.ts';
import { markOf } from '../halts/halt-store.ts';
import { STOP_MARK } from '../halts/stop.ts';
import { CLOCK_FIELDS, SERVER_TIME } from './clock-script.ts';

/** Between two samples of a clock, milliseconds; an hour of them is kept. */
export const SAMPLE_EVERY_MS = 10_000;
const KEPT = 360;
const HOUR_MS = 3_600_000;
/** A rate over a longer gap, in which nobody took samples, would say little. */
const LONGEST_GAP_MS = 60_000;
/** A sampler may be so early. */
const EARLY_MS = 1_000;

/** The pace of a clock at one moment. */
export interface PaceSample {
  /** Unix milliseconds by Redis' clock. */
  readonly at: number;
  /** Slots given a second since the sample before; null where there is none. */
  readonly used: number | null;
  /** Configured calls a second. */
  readonly qps: number;
  /** What processes may use of it: less after throttling answers and while it is lowered, 0 while it is halted, stopped or held after one. */
  readonly inForce: number;
}

/**
 * KEYS the clock, its samples, the clocks that have some, halts; ARGV the clock as JSON, configured qps, the account's mark (empty for an address).
 * The lease holders of several accounts sample the same address: the first of them does.
 */
const sample = script<number>(`local key, samples, sampled, halts = unpack(KEYS)
local of, configured, mark = ARGV[1], tonumber(ARGV[2]), ARGV[3]
${SERVER_TIME.now}
${CLOCK_FIELDS}
local nowMs = math.floor(now / 1000)
local text = redis.call('LINDEX', samples, 0)
local last = text and cjson.decode(text)
local gapMs = last and nowMs - last.at
if gapMs and gapMs >= 0 and gapMs < ${SAMPLE_EVERY_MS - EARLY_MS} then return 0 end
local f = redis.call('HMGET', key, 'given', 'factor', 'factorAt', 'hold', 'qps', 'qpsUntil', 'lowered', 'loweredUntil')
local clock = { dirty = {} }
readFactor(clock, tonumber(f[2]), tonumber(f[3] or 0))
local stricter = tonumber(f[6] or 0) > now and tonumber(f[5]) or configured
local inForce = math.min(configured, stricter, loweredTo(tonumber(f[7]), tonumber(f[8] or 0)) or configured) * clock.factor
local hold = tonumber(f[4] or 0)
local marks = redis.call('HMGET', halts, mark, '${STOP_MARK}')
if marks[1] or marks[2] or hold > now and hold <= now + HOLD then inForce = 0 end
local given, used = tonumber(f[1] or 0), 'null'
if gapMs and gapMs > 0 and gapMs <= ${LONGEST_GAP_MS} and given >= last.given then
  used = string.format('%.1f', (given - last.given) * 1000 / gapMs)
end
redis.call('LPUSH', samples, string.format('{"at":%.0f,"given":%.0f,"used":%s,"qps":%s,"inForce":%.1f}', nowMs, given, used, ARGV[2], inForce))
redis.call('LTRIM', samples, 0, ${KEPT - 1})
redis.call('PEXPIRE', samples, ${HOUR_MS})
redis.call('ZADD', sampled, nowMs, of)
redis.call('ZREMRANGEBYSCORE', sampled, '-inf', nowMs - ${HOUR_MS})
redis.call('PEXPIRE', sampled, ${HOUR_MS})
return 1`);

const sampleSchema = z.object({ at: z.number(), used: z.number().nullable(), qps: z.number(), inForce: z.number() });
const clockSchema = z.union([z.object({ account: z.string() }), z.object({ egress: z.string() })]);

/** Takes a sample of a clock, unless one was just taken. @param qps - configured */
export async function takeSample(redis: Redis, prefix: string, of: ClockOf, qps: number): Promise<void> {
  const clock = 'account' in of ? accountKey(prefix, of.account) : egressKey(prefix, of.egress);
  const mark = 'account' in of ? markOf(of.account) : '';
  const keys = [clock, samplesKey(prefix, of), sampledKey(prefix), limiterKeys(prefix, '', '').halts];
  const name = 'account' in of ? { account: of.account } : { egress: of.egress };
  await sample(redis, keys, [JSON.stringify(name), qps, mark]);
}

/** The clocks that have samples of the last hour. */
export async function sampledClocks(redis: Redis, prefix: string): Promise<ClockOf[]> {
  const members = await redis.zrange(sampledKey(prefix), '0', '-1');
  return members.map((member) => clockSchema.parse(JSON.parse(member)));
}

/**
 * Samples of a clock, the oldest first.
 * @param most - the newest of them
 */
export async function readSamples(redis: Redis, prefix: string, of: ClockOf, most = KEPT): Promise<PaceSample[]> {
  const texts = await redis.lrange(samplesKey(prefix, of), 0, most - 1);
  return texts.toReversed().map((text) => sampleSchema.parse(JSON.parse(text)));
}
