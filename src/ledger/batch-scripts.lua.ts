import { LAYOUT_VERSION } from './layout.ts';
import { CLOCK, DRAIN, MOVES } from './script-parts.lua.ts';

/**
 * Makes a planned batch run, unless the same manifest is at work already: two submitters, one batch.
 * KEYS record active fingerprints batches signals chunks lanes;
 * ARGV batch fingerprint accepted chunks rank.
 * Replies the batch that works on the manifest: this one, or the earlier one; empty when the plan is gone or incomplete.
 */
export const ACTIVATE = `${MOVES}
${CLOCK}
local state = redis.call('HGET', KEYS[1], 'state')
local after = moves.activate[state or '']
if not after then
  -- Activated before, perhaps by a call whose reply was lost: what was written for this call must not expire. Or cancelled as a plan.
  if not redis.call('HGET', KEYS[1], 'accepted') then return '' end
  for i = 1, 7 do redis.call('PERSIST', KEYS[i]) end
  return ARGV[1]
end
if redis.call('HLEN', KEYS[6]) ~= tonumber(ARGV[4]) then return '' end
local earlier = redis.call('HGET', KEYS[3], ARGV[2])
if earlier then return earlier end
redis.call('HSET', KEYS[3], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[1], 'state', after, 'accepted', ARGV[3], 'fingerprint', ARGV[2], 'submittedAt', now, 'layout', ${LAYOUT_VERSION})
for i = 1, 7 do redis.call('PERSIST', KEYS[i]) end
redis.call('ZADD', KEYS[4], now, ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[5] * 1e13 + now, ARGV[1])
redis.call('INCR', KEYS[5])
return ARGV[1]`;

/**
 * Takes every trace of a plan away; what runs, or ran, is no plan any more.
 * KEYS record chunks lanes batches; ARGV batch.
 */
export const WITHDRAW = `if redis.call('HEXISTS', KEYS[1], 'accepted') == 1 then return end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
redis.call('ZREM', KEYS[4], ARGV[1])`;

/**
 * An operator's or the breaker's change of state. The breaker says how often the batch it judged had been resumed: of one that was resumed since,
 * it knows nothing.
 * KEYS record signals fingerprints active; ARGV event reason batch resumes.
 * Replies the state after it; `!` and the present state when the event has no place there; empty when there is no batch.
 */
export const CHANGE_STATE = `${DRAIN}
${MOVES}
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return '' end
local after = moves[ARGV[1]][state]
if ARGV[4] ~= '' and ARGV[4] ~= (redis.call('HGET', KEYS[1], 'resumes') or '0') then after = nil end
if not after then return '!' .. state end
redis.call('HSET', KEYS[1], 'state', after)
if ARGV[1] == 'pause' then redis.call('HSET', KEYS[1], 'pausedBecause', ARGV[2]) else redis.call('HDEL', KEYS[1], 'pausedBecause') end
if ARGV[1] == 'resume' then
  redis.call('HINCRBY', KEYS[1], 'resumes', 1)
  local f = redis.call('HMGET', KEYS[1], 'accepted', 'revoked', 'alreadyGone', 'dead', 'cancelled')
  redis.call('HSET', KEYS[1], 'resumedAt', cjson.encode({ accepted = tonumber(f[1] or 0), revoked = tonumber(f[2] or 0),
    alreadyGone = tonumber(f[3] or 0), dead = tonumber(f[4] or 0), cancelled = tonumber(f[5] or 0) }))
end
-- A cancelled manifest may be submitted again at once, whatever of it is still to be settled.
local print = ARGV[1] == 'cancel' and redis.call('HGET', KEYS[1], 'fingerprint')
if print and redis.call('HGET', KEYS[3], print) == ARGV[3] then redis.call('HDEL', KEYS[3], print) end
redis.call('INCR', KEYS[2])
-- A standing batch may have come to its end while it was paused. A plan has no items yet.
if redis.call('HGET', KEYS[1], 'accepted') then drain(KEYS[1], KEYS[4], KEYS[3], ARGV[3]) end
return redis.call('HGET', KEYS[1], 'state')`;

/**
 * Notes how far an instance has been fed, from where the feeder began: one that was overtaken meanwhile is refused. So `fed` is at every moment
 * the number of items below the cursors.
 * KEYS record cursors; ARGV instance from to count.
 * Replies 1, or 0 when somebody else has moved the cursor.
 */
export const ADVANCE = `if tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or 0) ~= tonumber(ARGV[2]) then return 0 end
-- Without any cursor nothing counts as fed, also where Redis has lost them.
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('HSET', KEYS[1], 'fed', 0) end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('HINCRBY', KEYS[1], 'fed', ARGV[4])
return 1`;

/**
 * Writes lanes that Redis has lost, unless another process has.
 * KEYS record lanes; ARGV instance chunks, and so on.
 */
export const RESTORE_LANES = `if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('EXISTS', KEYS[2]) == 1 then return end
for i = 1, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end`;
