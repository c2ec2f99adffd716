import { AUDIT } from '../audit/record.lua.ts';
import { OCCURRENCE_END } from '../ledger/occurrence-end.lua.ts';

/**
 * Reads a schedule and notes that its rule is in force. A rule is known by a digest of all that the configuration says of it, since when, and when it
 * was seen last: one that another has taken the place of begins again when it comes back. Hosts that have both keep both.
 * KEYS state; ARGV digest now seenEveryMs forgottenAfterMs.
 * Replies since when the rule has been in force, and all fields of the state.
 */
export const READ = `local state = KEYS[1]
local digest, now, every, after = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local fields = redis.call('HGETALL', state)
local since
for at = 1, #fields, 2 do
  local other = string.match(fields[at], '^seen:(.*)')
  if other then
    local from, last = string.match(fields[at + 1], '^(%d+) (%d+)$')
    if other == digest then
      since = from
      if now - last >= every then redis.call('HSET', state, fields[at], from .. ' ' .. ARGV[2]) end
    elseif now - last > after then redis.call('HDEL', state, fields[at]) end
  end
end
if not since then
  since = ARGV[2]
  redis.call('HSET', state, 'seen:' .. digest, since .. ' ' .. since)
end
return { since, fields }`;

/**
 * Takes an occurrence, or keeps it.
 * KEYS state claim ends; ARGV id holder ttlMs now.
 * Replies `claimed`, `held` by another process, or that it has `ended`.
 */
export const CLAIM = `local state, claim, ends = unpack(KEYS)
local id, holder, ttl, now = unpack(ARGV)
if redis.call('HEXISTS', ends, id) == 1 then return 'ended' end
local held = redis.call('GET', claim)
if held and held ~= holder then return 'held' end
redis.call('SET', claim, holder, 'PX', ttl)
if redis.call('HGET', state, 'occurrence') ~= id then redis.call('HSET', state, 'occurrence', id, 'claimedAt', now) end
return 'claimed'`;

/** KEYS claim; ARGV holder. */
export const RELEASE = `if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`;

/** Lua: pauses a schedule once; who pauses it again changes nothing. */
const PAUSING = `local function pauseSchedule(state, stream, head, note, reason, now)
  if redis.call('HEXISTS', state, 'paused') == 1 then return false end
  redis.call('HSET', state, 'paused', reason, 'pausedAt', now)
  audit(stream, head, note)
  return true
end`;

/**
 * Ends an occurrence without a batch. With a note of a pause, the schedule pauses itself in the same step.
 * KEYS state claim ends order, the audit record's two; ARGV holder end pauseNote now, the note empty where it goes on.
 * Replies 1, or 0 where another process has it, or it has ended.
 */
export const END = `local state, claim, ends, order, stream, head = unpack(KEYS)
local holder, ending, note, now = unpack(ARGV)
${AUDIT}
${OCCURRENCE_END}
${PAUSING}
ending = cjson.decode(ending)
if not mayEnd(claim, ends, ending.id, holder) then return 0 end
endOccurrence(state, ends, order, ending)
if note ~= '' then pauseSchedule(state, stream, head, auditNote(note), ending.entry.reason, now) end
return 1`;

/**
 * KEYS state, the audit record's two; ARGV note reason now batch: the batch that is the reason, if any, which is no reason again.
 * Replies 1, or 0 where it is paused already.
 */
export const PAUSE = `local state, stream, head = unpack(KEYS)
local note, reason, now, batch = unpack(ARGV)
${AUDIT}
${PAUSING}
note = auditNote(note)
if auditedBefore(stream, note) then return 1 end
if batch ~= '' then redis.call('HSET', state, 'blamed', batch) end
return pauseSchedule(state, stream, head, note, reason, now) and 1 or 0`;

/**
 * A person has looked: what was missed until now is past, the last batch is no reason to pause again, and a listing may be as empty as it is.
 * KEYS state, the audit record's two; ARGV note now.
 * Replies 1, or 0 where it is not paused.
 */
export const RESUME = `local state, stream, head = unpack(KEYS)
${AUDIT}
local note = auditNote(ARGV[1])
if auditedBefore(stream, note) then return 1 end
if redis.call('HDEL', state, 'paused', 'pausedAt') == 0 then return 0 end
redis.call('HSET', state, 'resumedAt', ARGV[2], 'blamed', redis.call('HGET', state, 'batch') or '')
redis.call('HDEL', state, 'listed')
audit(stream, head, note)
return 1`;
