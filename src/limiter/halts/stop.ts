import type { Redis } from 'ioredis';
import { z } from 'zod';
import { auditKeys } from '../../audit/entry.ts';
import { auditNote, osUser, type Motive } from '../../audit/note.ts';
import { AUDIT } from '../../audit/record.lua.ts';
import { CLOCK, script } from '../../runtime/redis/script.ts';
import { limiterKeys, type Stop } from '../contract.ts';

/**
 * The field of the `halts` hash that stops every account; those of halts are lists with a name in them. A version that does not know it cannot read
 * the halts any more, and then gives no slot either.
 */
export const STOP_MARK = '[]';
/** Instead of a halt's code. */
export const STOPPED = 'stopped';

const stopSchema = z.object({ since: z.number(), requestedBy: z.string(), reason: z.string().nullable() });

const set = script<[number, string]>(`local halts, signals, stream, head = unpack(KEYS)
${AUDIT}
${CLOCK}
local note = auditNote(ARGV[1])
local there = redis.call('HGET', halts, '${STOP_MARK}')
if there then return { auditedBefore(stream, note) and 1 or 0, there } end
local mark = '{"since":' .. string.format('%.0f', clockMs()) .. ',' .. string.sub(ARGV[2], 2)
redis.call('HSET', halts, '${STOP_MARK}', mark)
redis.call('INCR', signals)
audit(stream, head, note)
return { 1, mark }`);

const clear = script<string>(`local halts, signals, stream, head = unpack(KEYS)
${AUDIT}
local note = auditNote(ARGV[1])
if auditedBefore(stream, note) then return 'started' end
local there = redis.call('HGET', halts, '${STOP_MARK}')
if not there then return 'not-stopped' end
if tostring(string.match(there, '^{"since":(%d+)')) ~= ARGV[2] then return 'another-stop' end
redis.call('HDEL', halts, '${STOP_MARK}')
redis.call('INCR', signals)
audit(stream, head, note)
return 'started'`);

/** Undefined while calls may be made. */
export async function readStop(redis: Redis, prefix: string): Promise<Stop | undefined> {
  const text = await redis.hget(limiterKeys(prefix, '', '').halts, STOP_MARK);
  return text === null ? undefined : parseStop(text);
}

export function parseStop(text: string): Stop {
  return stopSchema.parse(JSON.parse(text));
}

/** Stops every call of every account in all processes. `isNew` is false where that was so before. */
export async function setStop(
  redis: Redis,
  prefix: string,
  motive: Motive,
): Promise<{ readonly isNew: boolean; readonly stop: Stop }> {
  const { requestedBy = osUser(), reason = null } = motive;
  const args = [auditNote({ event: 'stop', ...motive }), JSON.stringify({ requestedBy, reason })];
  const [isNew, text] = await set(redis, keysOf(prefix), args);
  return { isNew: isNew === 1, stop: parseStop(text) };
}

/**
 * Lets calls be made again.
 * @param stop - the one that is meant: another one, of since, stays
 */
export async function clearStop(
  redis: Redis,
  prefix: string,
  stop: Pick<Stop, 'since'>,
  motive: Motive,
): Promise<'started' | 'not-stopped' | 'another-stop'> {
  const reply = await clear(redis, keysOf(prefix), [auditNote({ event: 'start', ...motive }), stop.since]);
  return reply === 'started' || reply === 'not-stopped' ? reply : 'another-stop';
}

/** The answer to a caller while all calls are stopped. */
export function describeStop({ requestedBy, reason }: Stop): string {
  return `all calls are stopped by ${requestedBy}${reason === null ? '' : ` (${reason})`}: certsweep start --all lets them continue`;
}

function keysOf(prefix: string): string[] {
  const { halts, signals } = limiterKeys(prefix, '', '');
  const { stream, head } = auditKeys(prefix);
  return [halts, signals, stream, head];
}
