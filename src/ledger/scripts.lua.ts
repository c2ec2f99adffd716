import { TRANSITIONS, type BatchEvent } from '../core/batch.ts';

/*
 * The ledger's scripts. Each is one atomic step on the keys of one batch; between two of them the identity
 * `accepted = revoked + already-gone + dead + cancelled + pending` holds. They read the clock of Redis only.
 */

/** Lua: `moves[event][state]` is the state after it. Written from core's table, so that there is one table. */
const MOVES = `local moves = cjson.decode('${JSON.stringify(movesByEvent())}')`;

const CLOCK = `local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

/**
 * Lua: closes a batch that has nothing pending. A standing batch, which has no fingerprint, goes on for ever: paused, it stays so until it is
 * resumed, or the next job would be called for.
 */
const DRAIN = `local function drain(record, active, fingerprints, batch)
  local f = redis.call('HMGET', record, 'accepted', 'revoked', 'alreadyGone', 'dead', 'cancelled', 'state', 'fingerprint')
  local pending = f[1] - (f[2] or 0) - (f[3] or 0) - (f[4] or 0) - (f[5] or 0)
  if pending > 0 then return 'settled' end
  ${MOVES}
  ${CLOCK}
  redis.call('ZREM', active, batch)
  if f[6] == 'paused' and not f[7] then return 'settled' end
  redis.call('HSET', record, 'state', moves.drain[f[6]] or f[6], 'completedAt', now)
  if f[7] and redis.call('HGET', fingerprints, f[7]) == batch then redis.call('HDEL', fingerprints, f[7]) end
  return 'drained'
end`;

/**
 * Lua: what the ledger has noted of calls of an item, see `Noted` in core. A call that a version with layout 1 noted has no run's name: the record
 * of such a job tells of it as `unnamed`.
 */
const NOTED = `local function noted(notes, departed, n, run, told)
  local note = redis.call('HGET', notes, n) or (redis.call('GETBIT', departed, n) == 1 and 'unnamed')
  if not note then return 'none' end
  return (note == run or note == told) and 'told' or 'untold'
end`;

/**
 * KEYS record active fingerprints settled ledger dead adopted retries lock notes departed;
 * ARGV batch n outcome countField code requestId attempts byAbsence letter jobId retries token run told doubt isHeard.
 * Replies a `Settled`, see the ledger.
 */
export const SETTLE = `${DRAIN}
${NOTED}
local n = tonumber(ARGV[2])
local accepted = tonumber(redis.call('HGET', KEYS[1], 'accepted') or 0)
if n >= accepted then return 'unknown' end
-- The job predates the last retry: accept only a revocation.
local isOld = ARGV[11] ~= '' and tonumber(ARGV[11]) < tonumber(redis.call('HGET', KEYS[8], n) or 0)
if isOld and ARGV[3] ~= 'revoked' then return 'already' end
if redis.call('GETBIT', KEYS[4], n) == 1 then
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
if ARGV[3] ~= 'revoked' then
  -- A success is one by whichever run. Anything else may have become untrue: another run's call may have worked meanwhile.
  if (redis.call('GET', KEYS[9]) or '') ~= ARGV[12] then return 'lock-lost' end
  local calls = noted(KEYS[10], KEYS[11], n, ARGV[13], ARGV[14])
  local doubt = ARGV[15] == '1'
  -- A record of calls that were never noted was made up.
  if calls == 'none' and ARGV[16] == '0' and (doubt or tonumber(ARGV[7]) > 0) then return calls end
  if calls == 'untold' and not doubt then return calls end
  if doubt and ARGV[3] == 'cancelled' then return calls end
end
redis.call('SETBIT', KEYS[4], n, 1)
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
return drain(KEYS[1], KEYS[2], KEYS[3], ARGV[1])`;

/**
 * Settles as cancelled every item of a list that is not settled, has no job, and of which no call was noted. In one step with the look at its jobs:
 * a feeder or a producer may add one at any time.
 * KEYS record active fingerprints settled ledger notes departed adopted job...; ARGV batch evenIfCalled, then for each item n, the key that it was
 * adopted under, and how many of the jobs are its own.
 * Replies how many.
 */
export const CANCEL_ITEMS = `${DRAIN}
${NOTED}
if redis.call('HGET', KEYS[1], 'state') ~= 'cancelled' then return 0 end
local count, job = 0, 9
for at = 3, #ARGV, 3 do
  local n, key, jobs = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local isFree = ARGV[2] == '1' or noted(KEYS[6], KEYS[7], n, '', '') == 'none'
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
redis.call('HSET', KEYS[1], 'state', after, 'accepted', ARGV[3], 'fingerprint', ARGV[2], 'submittedAt', now)
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
  redis.call('HSET', KEYS[1], 'submittedAt', now, 'priority', 'urgent')
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
if redis.call('EXISTS', KEYS[1]) == 0 then return 'no-batch' end
if redis.call('GET', KEYS[5]) ~= ARGV[3] then return 'lock-lost' end
if redis.call('GETBIT', KEYS[3], ARGV[1]) == 1 then return 'settled' end
if tonumber(ARGV[2]) < tonumber(redis.call('HGET', KEYS[4], ARGV[1]) or 0) then return 'settled' end
local before = noted(KEYS[2], KEYS[6], ARGV[1], ARGV[4], ARGV[5])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[4])
return before`;

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

function movesByEvent(): Record<BatchEvent, Record<string, string>> {
  const moves: Record<BatchEvent, Record<string, string>> = {
    activate: {},
    pause: {},
    resume: {},
    cancel: {},
    drain: {},
    reopen: {},
  };
  for (const [state, row] of Object.entries(TRANSITIONS)) {
    for (const [event, after] of Object.entries(row)) moves[event as BatchEvent][state] = after;
  }
  return moves;
}
