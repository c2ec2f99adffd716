import { CLOCK } from '../runtime/redis/script.ts';
import { BITS, COUNTS } from './script-parts.lua.ts';

/*
 * How a batch that retires certificates goes through its phases. While it is inactivating, an item that was marked inactive has its bit in `settled` as
 * well, so that nothing feeds it or calls for it, and it still counts as pending: the record's `passed` says how many those are. With the soak over,
 * or with a cancel, their bits in `settled` are cleared in one step, and each goes on to its outcome.
 */

/** Lua: opens the marked items of a batch again. Needs no other part. */
export const OPEN_MARKED = `local function openMarked(record, settled, marked)
  if redis.call('EXISTS', marked) == 1 then redis.call('BITOP', 'XOR', settled, settled, marked) end
  redis.call('HDEL', record, 'passed', 'soakUntil')
end`;

/** Lua: what a marked item ends as that is not deleted. */
export const LEFT_INACTIVE = `local function leftInactive(markedBefore, n)
  return redis.call('GETBIT', markedBefore, n) == 1 and 'already-inactive' or 'inactivated'
end`;

/**
 * Moves a running batch to its next phase, where the time has come: to `soaking` when all that pends has been marked, and to `deleting` when the soak is
 * over by the clock of Redis. Feeding begins again there, with a ramp of its own.
 * KEYS record settled marked cursors signals.
 * Replies { phase after it, 1 where this changed it, milliseconds until the end of the soak or 0 }.
 */
export const NEXT_PHASE = `local record, settled, marked, cursors, signals = unpack(KEYS)
${COUNTS}
${CLOCK}
${OPEN_MARKED}
local _, pending, state, phase, passed, soakMs, soakUntil = pendingOf(record, 'state', 'phase', 'passed', 'soakMs', 'soakUntil')
local now = clockMs()
if state ~= 'running' then return { phase or '', 0, 0 } end
if phase == 'inactivating' and pending > 0 and pending == tonumber(passed or 0) then
  redis.call('HSET', record, 'phase', 'soaking', 'soakUntil', string.format('%.0f', now + soakMs))
  redis.call('INCR', signals)
  return { 'soaking', 1, tonumber(soakMs) }
end
if phase ~= 'soaking' then return { phase or '', 0, 0 } end
if now < tonumber(soakUntil) then return { phase, 0, tonumber(soakUntil) - now } end
openMarked(record, settled, marked)
local counts = {}
for at, value in ipairs(redis.call('HMGET', record, unpack(COUNTED))) do counts[COUNTED[at]] = tonumber(value or 0) end
redis.call('HSET', record, 'phase', 'deleting', 'fed', 0, 'phaseAt', cjson.encode(counts))
redis.call('HDEL', record, 'resumedAt')
redis.call('DEL', cursors)
redis.call('INCR', signals)
return { 'deleting', 1, 0 }`;

/** KEYS marked; ARGV n... Replies a bit for each. */
export const ARE_MARKED = `${BITS}
return bitsOf(KEYS[1], ARGV)`;
