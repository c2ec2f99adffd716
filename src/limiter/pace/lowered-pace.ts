import type { Redis } from 'ioredis';
import { auditKeys } from '../../audit/entry.ts';
import { auditNote, type Motive } from '../../audit/note.ts';
import { AUDIT } from '../../audit/record.lua.ts';
import { script } from '../../runtime/redis/script.ts';
import { accountKey } from '../contract.ts';
import { DAY_MS, SERVER_TIME, type TimeSource } from './clock-script.ts';

/** A pace below the configured one, for a time. */
export interface LoweredPace {
  /** Calls a second to the account, over all workers. */
  readonly qps: number;
  /** Unix milliseconds by Redis' clock; then the configured pace is in force again. */
  readonly untilMs: number;
}

/**
 * The `lower` script. KEYS the account's clock, the audit record's two; ARGV qps, for how long (ms), note, counts. Replies the end, Unix ms.
 * Slots that were given before are at most 200 ms ahead; the next `reserve` reads it.
 */
export function lowerLua(source: TimeSource): string {
  return `local account, stream, head = unpack(KEYS)
local qps, forMs, noteText, counts = unpack(ARGV)
${source.now}
${AUDIT}
local note = auditNote(noteText)
if not auditedBefore(stream, note) then
  redis.call('HSET', account, 'lowered', qps, 'loweredUntil', string.format('%.0f', now + forMs * 1000))
  redis.call('PEXPIRE', account, math.max(${DAY_MS}, tonumber(forMs)))
  audit(stream, head, note, counts)
end
return string.format('%.0f', math.floor(tonumber(redis.call('HGET', account, 'loweredUntil') or now) / 1000))
`;
}

const lower = script<string>(lowerLua(SERVER_TIME));

const restore = script<number>(`local account, stream, head = unpack(KEYS)
${SERVER_TIME.now}
${AUDIT}
local note = auditNote(ARGV[1])
if auditedBefore(stream, note) then return 1 end
local isLowered = tonumber(redis.call('HGET', account, 'loweredUntil') or 0) > now
redis.call('HDEL', account, 'lowered', 'loweredUntil')
if not isLowered then return 0 end
audit(stream, head, note, ARGV[2])
return 1`);

/**
 * Lowers the pace of an account on all hosts. No sliding second that begins two seconds later has more calls. A later command takes the place of an
 * earlier one.
 * @returns when it ends
 */
export async function lowerPace(
  redis: Redis,
  prefix: string,
  { account, qps, forSeconds }: { readonly account: string; readonly qps: number; readonly forSeconds: number },
  motive: Motive,
): Promise<LoweredPace> {
  const note = auditNote(deedOf(`account ${account}: lowered to ${qps} calls a second for ${forSeconds} s`, motive));
  const args = [qps, forSeconds * 1_000, note, JSON.stringify({ qps, forSeconds })];
  return { qps, untilMs: Number(await lower(redis, keysOf(prefix, account), args)) };
}

/**
 * Ends a lowered pace before its time.
 * @param qps - the configured pace, for the record
 * @returns false where none was in force
 */
export async function restorePace(
  redis: Redis,
  prefix: string,
  { account, qps }: { readonly account: string; readonly qps: number },
  motive: Motive,
): Promise<boolean> {
  const note = auditNote(deedOf(`account ${account}: back to ${qps} calls a second`, motive));
  return (await restore(redis, keysOf(prefix, account), [note, JSON.stringify({ qps })])) === 1;
}

/** An entry has no field for the account: as with halts, its text names it. */
function deedOf(what: string, { reason, ...motive }: Motive) {
  return { event: 'pace', ...motive, reason: reason === undefined ? what : `${what}: ${reason}` } as const;
}

function keysOf(prefix: string, account: string): string[] {
  const { stream, head } = auditKeys(prefix);
  return [accountKey(prefix, account), stream, head];
}
