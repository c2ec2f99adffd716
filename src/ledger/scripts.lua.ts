import { TRANSITIONS, type BatchEvent } from '../core/batch.ts';

/*
 * The ledger's scripts. Each is one atomic step on the keys of one batch; between two of them the identity
 * `accepted = revoked + already-gone + dead + cancelled + pending` holds. They read the clock of Redis only.
 */

/** Lua: `moves[event][state]` is the state after it. Written from core's table, so that there is one table. */
const MOVES = `local moves = cjson.decode('${JSON.stringify(movesByEvent())}')`;

const CLOCK = `local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

/** Lua: after a settle, closes a batch that has nothing pending. KEYS 1 record, 2 active, 3 fingerprints. */
const DRAIN = `local function drain(record, active, fingerprints, batch)
  local f = redis.call('HMGET', record, 'accepted', 'revoked', 'alreadyGone', 'dead', 'cancelled', 'state', 'fingerprint')
  local pending = f[1] - (f[2] or 0) - (f[3] or 0) - (f[4] or 0) - (f[5] or 0)
  if pending > 0 then return 'settled' end
  ${MOVES}
  ${CLOCK}
  redis.call('HSET', record, 'state', moves.drain[f[6]] or f[6], 'completedAt', now)
  redis.call('ZREM', active, batch)
  if f[7] and redis.call('HGET', fingerprints, f[7]) == batch then redis.call('HDEL', fingerprints, f[7]) end
  return 'drained'
end`;

/**
 * KEYS record active fingerprints settled ledger dead adopted retries;
 * ARGV batch n outcome countField code requestId attempts byAbsence letter jobId retries.
 * Replies `settled`, `drained` (settled, and it was the last), `already` or `unknown` (no such item).
 */
export const SETTLE = `${DRAIN}
local n = tonumber(ARGV[2])
local accepted = tonumber(redis.call('HGET', KEYS[1], 'accepted') or 0)
if n >= accepted then return 'unknown' end
-- A job from before a retry: what it heard is not of the item's present life, unless it is that the certificate is deleted.
local isOld = ARGV[11] ~= '' and tonumber(ARGV[11]) < tonumber(redis.call('HGET', KEYS[8], n) or 0)
if isOld and ARGV[3] ~= 'revoked' then return 'already' end
if redis.call('SETBIT', KEYS[4], n, 1) == 1 then return 'already' end
redis.call('HINCRBY', KEYS[1], ARGV[4], 1)
if ARGV[8] == '1' then redis.call('HINCRBY', KEYS[1], 'confirmedByAbsence', 1) end
local entry = redis.call('XADD', KEYS[5], '*', 'n', n, 'outcome', ARGV[3], 'code', ARGV[5], 'requestId', ARGV[6], 'attempts', ARGV[7])
if ARGV[9] ~= '' then redis.call('HSET', KEYS[6], n, entry .. ' ' .. ARGV[9]) end
if ARGV[10] ~= '' then redis.call('HDEL', KEYS[7], ARGV[10]) end
return drain(KEYS[1], KEYS[2], KEYS[3], ARGV[1])`;

/**
 * Settles as cancelled every item of a list that is not settled: those that were never handed to the queue.
 * KEYS record active fingerprints settled ledger; ARGV batch n...
 * Replies how many.
 */
export const CANCEL_ITEMS = `${DRAIN}
if redis.call('HGET', KEYS[1], 'state') ~= 'cancelled' then return 0 end
local count = 0
for i = 2, #ARGV do
  if redis.call('SETBIT', KEYS[4], ARGV[i], 1) == 0 then
    count = count + 1
    redis.call('XADD', KEYS[5], '*', 'n', ARGV[i], 'outcome', 'cancelled', 'code', '', 'requestId', '', 'attempts', 0)
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
 * An operator's or the breaker's change of state.
 * KEYS record signals fingerprints; ARGV event reason batch.
 * Replies the state after it; `!` and the present state when the event has no place there; empty when there is no batch.
 */
export const CHANGE_STATE = `${MOVES}
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return '' end
local after = moves[ARGV[1]][state]
if not after then return '!' .. state end
redis.call('HSET', KEYS[1], 'state', after)
if ARGV[1] == 'pause' then redis.call('HSET', KEYS[1], 'pausedBecause', ARGV[2]) else redis.call('HDEL', KEYS[1], 'pausedBecause') end
if ARGV[1] == 'resume' then
  local f = redis.call('HMGET', KEYS[1], 'accepted', 'revoked', 'alreadyGone', 'dead', 'cancelled')
  redis.call('HSET', KEYS[1], 'resumedAt', cjson.encode({ accepted = tonumber(f[1] or 0), revoked = tonumber(f[2] or 0),
    alreadyGone = tonumber(f[3] or 0), dead = tonumber(f[4] or 0), cancelled = tonumber(f[5] or 0) }))
end
-- A cancelled manifest may be submitted again at once, whatever of it is still to be settled.
local print = ARGV[1] == 'cancel' and redis.call('HGET', KEYS[1], 'fingerprint')
if print and redis.call('HGET', KEYS[3], print) == ARGV[3] then redis.call('HDEL', KEYS[3], print) end
redis.call('INCR', KEYS[2])
return after`;

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
 * It stays noted until the item is reopened.
 * KEYS record departed settled retries lock; ARGV n retries token. Replies a `Departure`, see the ledger.
 */
export const DEPART = `if redis.call('EXISTS', KEYS[1]) == 0 then return 'no-batch' end
if redis.call('GET', KEYS[5]) ~= ARGV[3] then return 'lock-lost' end
if redis.call('GETBIT', KEYS[3], ARGV[1]) == 1 then return 'settled' end
if tonumber(ARGV[2]) < tonumber(redis.call('HGET', KEYS[4], ARGV[1]) or 0) then return 'settled' end
redis.call('SETBIT', KEYS[2], ARGV[1], 1)
return 'noted'`;

/**
 * Opens a dead letter again: the item is pending until it is settled anew, and the old entry stays in the ledger.
 * Whether a call may have left is from now on what the letter knows.
 * KEYS record active settled ledger dead reopened superseded departed retries; ARGV batch n rank.
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
redis.call('SETBIT', KEYS[8], ARGV[2], known.effectUnknown and 1 or 0)
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
 * Puts a dead letter aside for good: the item stays dead, the letter goes, the ledger says so.
 * KEYS ledger dead; ARGV n. Replies 1, or 0 when there is no such letter.
 */
export const DISCARD = `if redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('XADD', KEYS[1], '*', 'n', ARGV[1], 'outcome', 'discarded', 'code', '', 'requestId', '', 'attempts', 0)
return 1`;

/**
 * Notes how far an instance has been fed; never backwards, and twice the same counts once.
 * KEYS record cursors; ARGV instance ordinal count.
 */
export const ADVANCE = `local before = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or 0)
if tonumber(ARGV[2]) <= before then return end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HINCRBY', KEYS[1], 'fed', ARGV[3])`;

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
