import { AUDIT } from '../audit/record.lua.ts';
import { CLOCK } from '../runtime/redis/script.ts';
import { ATTEMPTS, DEATHS, FEED_ORDER, STATES } from './script-parts.lua.ts';

/** Earlier deaths that a letter keeps; the oldest go. */
const MAX_DEATHS = 100;

/**
 * Opens dead letters of one batch again: each item is pending until it is settled once more, the old entry stays in the ledger, and the item waits,
 * to go on at once. Whether a call may have worked is from now on what the letter knows.
 * KEYS record active settled ledger dead superseded attempts history, the audit record's two, chunks, waiting...;
 * ARGV batch rank note letters `direct` (empty for a batch that was submitted). `letters` is JSON: each { n, index of its instance's key from 1, 1 where a call may have worked by the letter's code }.
 * Replies for each 1, or 0 when it is no dead letter (any more), or -1 when its batch is cancelled, or -2 when it names no certificate, or cannot be read.
 */
export const REOPEN = `local record, active, settled, ledger, dead, superseded, attempts, history, stream, head, chunks = unpack(KEYS)
local batch, rank, letters = ARGV[1], ARGV[2], cjson.decode(ARGV[4])
${AUDIT}
${STATES}
${CLOCK}
${FEED_ORDER}
${ATTEMPTS}
${DEATHS}
local note = auditNote(ARGV[3])
local earlier = auditedBefore(stream, note)
local left = earlier and earlier.counts.letters
local after = stateAfter('reopen', redis.call('HGET', record, 'state'))
local now, replies, count = clockMs(), {}, 0
for at, asked in ipairs(letters) do
  local n, waiting, doubt = asked[1], KEYS[11 + asked[2]], asked[3] == 1
  local value = redis.call('HGET', dead, n)
  local entry, letter = string.match(value or '', '^(%S+) (.*)$')
  local isReadable, known = pcall(cjson.decode, letter)
  if not isReadable then known = letter and { instanceId = '' } end
  replies[at] = 1
  if earlier then
    replies[at] = not known and left > 0 and 1 or 0
    left = left - replies[at]
  elseif not known then replies[at] = 0
  elseif known.instanceId == '' then replies[at] = -2
  elseif not after then replies[at] = -1
  else
    count = count + 1
    redis.call('SETBIT', settled, n, 0)
    redis.call('HDEL', attempts, n)
    if known.effectUnknown or doubt then
      redis.call('HSET', attempts, n, EFFECT_UNKNOWN)
    end
    local deaths = deathsOf(known)
    if #deaths > ${MAX_DEATHS} then table.remove(deaths, 1) end
    redis.call('HSET', history, n, cjson.encode(deaths))
    redis.call('HDEL', dead, n)
    redis.call('SADD', superseded, entry)
    redis.call('XADD', ledger, '*', 'n', n, 'outcome', 'reopened', 'code', '', 'requestId', '', 'attempts', 0)
    if ARGV[5] ~= '' then
      -- An operator who retries it allows what its producer was not allowed.
      local kept = redis.call('HGET', chunks, n)
      if kept then redis.call('HSET', chunks, n, (string.gsub(kept, ',"refused":"[^"]*"}$', '}'))) end
    end
    redis.call('ZADD', waiting, now, batch .. ' ' .. n)
  end
end
if count == 0 then return replies end
redis.call('HINCRBY', record, 'dead', -count)
-- Else as many new deaths as letters are retried would pass for old ones.
for _, field in ipairs({ 'resumedAt', 'phaseAt' }) do
  local since = redis.call('HGET', record, field)
  if since then
    local at = cjson.decode(since)
    at.dead = math.max(0, at.dead - count)
    redis.call('HSET', record, field, cjson.encode(at))
  end
end
redis.call('HSET', record, 'state', after)
redis.call('HDEL', record, 'completedAt')
redis.call('ZADD', active, 'NX', feedOrder(rank, now), batch)
audit(stream, head, note, auditCounts(record, ',"letters":' .. count))
return replies`;

/**
 * Puts dead letters of one batch aside for good: the items stay dead, the letters go, the ledger says so.
 * KEYS ledger dead record, the audit record's two; ARGV note n... Replies for each 1, or 0 when there is no such letter.
 */
export const DISCARD = `local ledger, dead, record, stream, head = unpack(KEYS)
${AUDIT}
local note = auditNote(ARGV[1])
local earlier = auditedBefore(stream, note)
local left, count, replies = earlier and earlier.counts.letters, 0, {}
for at = 2, #ARGV do
  local n = ARGV[at]
  if earlier then
    replies[at - 1] = redis.call('HEXISTS', dead, n) == 0 and left > 0 and 1 or 0
    left = left - replies[at - 1]
  else
    replies[at - 1] = redis.call('HDEL', dead, n)
    if replies[at - 1] == 1 then
      count = count + 1
      redis.call('XADD', ledger, '*', 'n', n, 'outcome', 'discarded', 'code', '', 'requestId', '', 'attempts', 0)
    end
  end
end
if count > 0 then audit(stream, head, note, auditCounts(record, ',"letters":' .. count)) end
return replies`;
