import { CLOCK } from '../runtime/redis/script.ts';
import { ATTEMPTS, DEATHS, FEED_ORDER, STATES } from './script-parts.lua.ts';

/** Earlier deaths that a letter keeps; the oldest go. */
const MAX_DEATHS = 100;

/**
 * Opens a dead letter again: the item is pending until it is settled once more, the old entry stays in the ledger, and the item waits, to go on at
 * once. Whether a call may have worked is from now on what the letter knows.
 * KEYS record active settled ledger dead superseded attempts history waiting; ARGV batch n rank doubt (1 where a call may have worked by the letter's code).
 * Replies 1, or 0 when it is no dead letter (any more), or -1 when its batch is cancelled, or -2 when it names no certificate.
 */
export const REOPEN = `local record, active, settled, ledger, dead, superseded, attempts, history, waiting = unpack(KEYS)
local batch, n, rank, doubt = unpack(ARGV)
${STATES}
${CLOCK}
${FEED_ORDER}
${ATTEMPTS}
${DEATHS}
local now = clockMs()
local value = redis.call('HGET', dead, n)
if not value then return 0 end
local entry, letter = value:match('^(%S+) (.*)$')
local known = cjson.decode(letter)
if known.instanceId == '' then return -2 end
local after = stateAfter('reopen', redis.call('HGET', record, 'state'))
if not after then return -1 end
redis.call('SETBIT', settled, n, 0)
redis.call('HDEL', attempts, n)
if known.effectUnknown or doubt == '1' then
  redis.call('HSET', attempts, n, EFFECT_UNKNOWN)
end
local deaths = deathsOf(known)
if #deaths > ${MAX_DEATHS} then table.remove(deaths, 1) end
redis.call('HSET', history, n, cjson.encode(deaths))
redis.call('HINCRBY', record, 'dead', -1)
-- Else as many new deaths as letters are retried would pass for old ones.
local resumed = redis.call('HGET', record, 'resumedAt')
if resumed then
  local at = cjson.decode(resumed)
  at.dead = math.max(0, at.dead - 1)
  redis.call('HSET', record, 'resumedAt', cjson.encode(at))
end
redis.call('HSET', record, 'state', after)
redis.call('HDEL', record, 'completedAt')
redis.call('HDEL', dead, n)
redis.call('SADD', superseded, entry)
redis.call('XADD', ledger, '*', 'n', n, 'outcome', 'reopened', 'code', '', 'requestId', '', 'attempts', 0)
redis.call('ZADD', waiting, now, batch .. ' ' .. n)
redis.call('ZADD', active, 'NX', feedOrder(rank, now), batch)
return 1`;

/**
 * Puts a dead letter aside for good: the item stays dead, the letter goes, the ledger says so.
 * KEYS ledger dead; ARGV n. Replies 1, or 0 when there is no such letter.
 */
export const DISCARD = `local ledger, dead = unpack(KEYS)
local n = unpack(ARGV)
if redis.call('HDEL', dead, n) == 0 then return 0 end
redis.call('XADD', ledger, '*', 'n', n, 'outcome', 'discarded', 'code', '', 'requestId', '', 'attempts', 0)
return 1`;
