import { CLOCK, MOVES } from './script-parts.lua.ts';

/** Earlier deaths that a letter keeps; the oldest go. */
const MAX_DEATHS = 100;

/**
 * Opens a dead letter again: the item is pending until it is settled anew, and the old entry stays in the ledger.
 * Whether a call may have left is from now on what the letter knows.
 * KEYS record active settled ledger dead reopened superseded departed retries notes history; ARGV batch n rank.
 * Replies 1, or 0 when it is no dead letter (any more), or -1 when its batch is cancelled, or -2 when it names no certificate.
 */
export const REOPEN = `${MOVES}
${CLOCK}
local value = redis.call('HGET', KEYS[5], ARGV[2])
if not value then return 0 end
local entry, letter = value:match('^(%S+) (.*)$')
local known = cjson.decode(letter)
if known.instanceId == '' then return -2 end
local after = moves.reopen[redis.call('HGET', KEYS[1], 'state')]
if not after then return -1 end
redis.call('SETBIT', KEYS[3], ARGV[2], 0)
if redis.call('GETBIT', KEYS[8], ARGV[2]) == 1 then redis.call('SETBIT', KEYS[8], ARGV[2], 0) end
if known.effectUnknown then redis.call('HSET', KEYS[10], ARGV[2], 'letter') end
local deaths = known.history
deaths[#deaths + 1] = { code = known.code, message = known.message, requestId = known.requestId, attempts = known.attempts, at = known.at }
if #deaths > ${MAX_DEATHS} then table.remove(deaths, 1) end
redis.call('HSET', KEYS[11], ARGV[2], cjson.encode(deaths))
redis.call('HINCRBY', KEYS[1], 'dead', -1)
-- Else as many new deaths as letters are retried would pass for old ones.
local resumed = redis.call('HGET', KEYS[1], 'resumedAt')
if resumed then
  local at = cjson.decode(resumed)
  at.dead = math.max(0, at.dead - 1)
  redis.call('HSET', KEYS[1], 'resumedAt', cjson.encode(at))
end
redis.call('HSET', KEYS[1], 'state', after)
redis.call('HDEL', KEYS[1], 'completedAt')
redis.call('HDEL', KEYS[5], ARGV[2])
redis.call('HSET', KEYS[6], ARGV[2], letter)
redis.call('SADD', KEYS[7], entry)
redis.call('HINCRBY', KEYS[9], ARGV[2], 1)
redis.call('XADD', KEYS[4], '*', 'n', ARGV[2], 'outcome', 'reopened', 'code', '', 'requestId', '', 'attempts', 0)
redis.call('ZADD', KEYS[2], 'NX', ARGV[3] * 1e13 + now, ARGV[1])
return 1`;

/**
 * Dead letters that wait to be tried again, each with how often it was retried: read apart, the two could be of different lives.
 * KEYS reopened retries; ARGV count. Replies ordinal, letter, retries, and so on.
 */
export const REOPENED = `local page = redis.call('HSCAN', KEYS[1], 0, 'COUNT', ARGV[1])[2]
local found = {}
for i = 1, #page, 2 do
  found[#found + 1] = page[i]
  found[#found + 1] = page[i + 1]
  found[#found + 1] = redis.call('HGET', KEYS[2], page[i]) or '0'
end
return found`;

/**
 * Jobs stand for retried items, unless they were retried once more since.
 * KEYS reopened retries; ARGV ordinal retries, and so on.
 */
export const REOPENED_FED = `for i = 1, #ARGV, 2 do
  if (redis.call('HGET', KEYS[2], ARGV[i]) or '0') == ARGV[i + 1] then redis.call('HDEL', KEYS[1], ARGV[i]) end
end`;

/**
 * Puts a dead letter aside for good: the item stays dead, the letter goes, the ledger says so.
 * KEYS ledger dead; ARGV n. Replies 1, or 0 when there is no such letter.
 */
export const DISCARD = `if redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('XADD', KEYS[1], '*', 'n', ARGV[1], 'outcome', 'discarded', 'code', '', 'requestId', '', 'attempts', 0)
return 1`;
