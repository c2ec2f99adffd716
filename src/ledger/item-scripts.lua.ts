import { LAYOUT_VERSION } from './layout.ts';
import { CLOCK, DRAIN, MOVES, NOTED } from './script-parts.lua.ts';

/**
 * Gives a job that belongs to no batch its place in a standing batch; the same job gets the same place again. A job id that stands for another
 * certificate already is kept under a name of its own: what is settled under a number is what that number's certificate heard.
 * KEYS record batches active adopted chunks; ARGV batch jobId certificate rank.
 * Replies { ordinal, 1 when new, what it is adopted under }; { -1, 0 } while the standing batch is cancelled and not yet drained: going on would
 * revive what was cancelled.
 */
export const ADOPT = `${MOVES}
${CLOCK}
local key = ARGV[2]
local known = redis.call('HGET', KEYS[4], key)
if known and redis.call('HGET', KEYS[5], known) ~= ARGV[3] then
  key = key .. '#' .. redis.sha1hex(ARGV[3])
  known = redis.call('HGET', KEYS[4], key)
end
if known then return { tonumber(known), 0, key } end
local f = redis.call('HMGET', KEYS[1], 'state', 'accepted', 'revoked', 'alreadyGone', 'dead', 'cancelled')
local state = f[1]
if state == 'cancelled' and f[2] - (f[3] or 0) - (f[4] or 0) - (f[5] or 0) - (f[6] or 0) > 0 then return { -1, 0 } end
local n = redis.call('HINCRBY', KEYS[1], 'accepted', 1) - 1
if not state then
  redis.call('HSET', KEYS[1], 'submittedAt', now, 'priority', 'urgent', 'layout', ${LAYOUT_VERSION})
  redis.call('ZADD', KEYS[2], now, ARGV[1])
end
redis.call('HSET', KEYS[1], 'state', state and moves.reopen[state] or 'running')
redis.call('HDEL', KEYS[1], 'completedAt')
redis.call('HINCRBY', KEYS[1], 'fed', 1)
redis.call('HSET', KEYS[4], key, n)
redis.call('HSET', KEYS[5], n, ARGV[3])
redis.call('ZADD', KEYS[3], 'NX', ARGV[4] * 1e13 + now, ARGV[1])
return { n, 1, key }`;

/**
 * Notes that a call of the item is about to leave, unless it is settled, or was and is retried since, or the job's lock is not the caller's.
 * The note stands until the item is settled.
 * KEYS record notes settled retries lock departed; ARGV n retries token run told. Replies a `Departure`, see the ledger.
 */
export const DEPART = `${NOTED}
local layout = redis.call('HGET', KEYS[1], 'layout')
if not layout and redis.call('EXISTS', KEYS[1]) == 0 then return 'no-batch' end
if redis.call('GET', KEYS[5]) ~= ARGV[3] then return 'lock-lost' end
if redis.call('GETBIT', KEYS[3], ARGV[1]) == 1 then return 'settled' end
if tonumber(ARGV[2]) < tonumber(redis.call('HGET', KEYS[4], ARGV[1]) or 0) then return 'settled' end
local before = noted(layout, KEYS[2], KEYS[6], ARGV[1], ARGV[4], ARGV[5])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[4])
return before`;

/**
 * KEYS record active fingerprints settled ledger dead adopted retries lock notes departed;
 * ARGV batch n outcome countField code requestId attempts byAbsence letter jobId retries token run told doubt isHeard.
 * Replies a `Settled`, see the ledger.
 */
export const SETTLE = `${DRAIN}
${NOTED}
local n = tonumber(ARGV[2])
local f = redis.call('HMGET', KEYS[1], 'accepted', 'revoked', 'alreadyGone', 'dead', 'cancelled', 'layout')
if n >= tonumber(f[1] or 0) then return 'unknown' end
-- The job predates the last retry: accept only a revocation.
local isOld = ARGV[11] ~= '' and tonumber(ARGV[11]) < tonumber(redis.call('HGET', KEYS[8], n) or 0)
if isOld and ARGV[3] ~= 'revoked' then return 'already' end
-- A success is one by whichever run. Anything else may have become untrue: another run's call may have worked meanwhile.
local isSuccess = ARGV[3] == 'revoked'
if (isSuccess and redis.call('SETBIT', KEYS[4], n, 1) or redis.call('GETBIT', KEYS[4], n)) == 1 then
  -- Clients send a script again when its reply was lost: what this very run has settled is told again.
  local entries = ARGV[13] == '' and {} or redis.call('XREVRANGE', KEYS[5], '+', '-', 'COUNT', 200)
  for _, entry in ipairs(entries) do
    local field = {}
    for at = 1, #entry[2], 2 do field[entry[2][at]] = entry[2][at + 1] end
    if field.n == ARGV[2] and (field.run == ARGV[13] or ARGV[6] ~= '' and field.requestId == ARGV[6]) then
      return drain(KEYS[1], KEYS[2], KEYS[3], ARGV[1])
    end
  end
  return 'already'
end
if not isSuccess then
  if (redis.call('GET', KEYS[9]) or '') ~= ARGV[12] then return 'lock-lost' end
  local calls = noted(f[6], KEYS[10], KEYS[11], n, ARGV[13], ARGV[14])
  local doubt = ARGV[15] == '1'
  -- A record of calls that were never noted was made up.
  if calls == 'none' and ARGV[16] == '0' and (doubt or tonumber(ARGV[7]) > 0) then return calls end
  if calls == 'untold' and not doubt then return calls end
  if doubt and ARGV[3] == 'cancelled' then return calls end
  redis.call('SETBIT', KEYS[4], n, 1)
end
redis.call('HDEL', KEYS[10], n)
redis.call('HINCRBY', KEYS[1], ARGV[4], 1)
if ARGV[8] == '1' then redis.call('HINCRBY', KEYS[1], 'confirmedByAbsence', 1) end
local entry = { 'n', n, 'outcome', ARGV[3], 'code', ARGV[5], 'requestId', ARGV[6], 'attempts', ARGV[7] }
if ARGV[6] == '' and ARGV[13] ~= '' then
  entry[11], entry[12] = 'run', ARGV[13]
end
local id = redis.call('XADD', KEYS[5], '*', unpack(entry))
if ARGV[9] ~= '' then redis.call('HSET', KEYS[6], n, id .. ' ' .. ARGV[9]) end
if ARGV[10] ~= '' then redis.call('HDEL', KEYS[7], ARGV[10]) end
local pending = f[1] - (f[2] or 0) - (f[3] or 0) - (f[4] or 0) - (f[5] or 0) - 1
return pending > 0 and 'settled' or drain(KEYS[1], KEYS[2], KEYS[3], ARGV[1])`;

/**
 * Settles as cancelled every item of a list that is not settled, has no job, and of which no call was noted. In one step with the look at its jobs:
 * a feeder or a producer may add one at any time.
 * KEYS record active fingerprints settled ledger notes departed adopted job...; ARGV batch evenIfCalled, then for each item n, the key that it was
 * adopted under, and how many of the jobs are its own.
 * Replies how many.
 */
export const CANCEL_ITEMS = `${DRAIN}
${NOTED}
local f = redis.call('HMGET', KEYS[1], 'state', 'layout')
if f[1] ~= 'cancelled' then return 0 end
local count, job = 0, 9
for at = 3, #ARGV, 3 do
  local n, key, jobs = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local isFree = ARGV[2] == '1' or noted(f[2], KEYS[6], KEYS[7], n, '', '') == 'none'
  for own = job, job + jobs - 1 do isFree = isFree and redis.call('EXISTS', KEYS[own]) == 0 end
  job = job + jobs
  if isFree and redis.call('SETBIT', KEYS[4], n, 1) == 0 then
    count = count + 1
    redis.call('XADD', KEYS[5], '*', 'n', n, 'outcome', 'cancelled', 'code', '', 'requestId', '', 'attempts', 0)
    redis.call('HDEL', KEYS[6], n)
    -- So that its producer may have the certificate taken in again.
    if key ~= '' then redis.call('HDEL', KEYS[8], key) end
  end
end
if count > 0 then
  redis.call('HINCRBY', KEYS[1], 'cancelled', count)
  drain(KEYS[1], KEYS[2], KEYS[3], ARGV[1])
end
return count`;
