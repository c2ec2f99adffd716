import { AUDIT } from '../audit/record.lua.ts';
import { CLOCK } from '../runtime/redis/script.ts';
import { ACTIONS_SINCE, LAYOUT_VERSION, RETIREMENT_SINCE } from './layout.ts';
import { OPEN_MARKED } from './retirement.lua.ts';
import { CLAIM_KEPT_MS } from './claims.ts';
import { AWAITING_MS } from './awaiting.ts';
import { OCCURRENCE_END } from './occurrence-end.lua.ts';
import { USED_PLAN_MS } from './plan-use.ts';
import { COUNTS, DRAIN, FEED_ORDER, STATES } from './script-parts.lua.ts';

/**
 * Makes a planned batch run, unless a batch of the same manifest and action has not ended: two submitters, one batch. Or lets it wait for an
 * approval, if `awaiting` says of what. If it does not delete, workers of versions that would must stop, and no more of them may start.
 * KEYS record active fingerprints batches signals chunks lanes, the audit record's two, layout, for a plan file the mark that it was used, and for a claim
 * its key, or for an occurrence of a schedule its four;
 * ARGV batch fingerprint accepted chunks rank note reason manifestSha256 planId awaiting holder content answer occurrence, each empty where there is none.
 * Holder, content and answer are of the claim: who has it, what was sent, and the rest of the answer.
 * Replies the batch that works on the manifest: this one, or the earlier one; empty when the plan is gone or incomplete; `!` and the batch that
 * the plan file was used for; `?` when the claim is no longer the holder's, or the occurrence has ended.
 */
export const ACTIVATE = `local record, active, fingerprints, batches, signals, chunks, lanes, stream, head, layout = unpack(KEYS)
local batch, fingerprint, accepted, chunkCount, rank, note, reason, manifest, planId, awaiting, holder, content, answer = unpack(ARGV)
local claim = holder ~= '' and KEYS[#KEYS]
local occurrence = (ARGV[14] or '') ~= '' and cjson.decode(ARGV[14])
local schedule, scheduleClaim, ends, order
if occurrence then schedule, scheduleClaim, ends, order = unpack(KEYS, #KEYS - 3) end
local used = KEYS[#KEYS - (claim and 1 or 0) - (occurrence and 4 or 0)]
if used == layout then used = nil end
${AUDIT}
${STATES}
${CLOCK}
${OCCURRENCE_END}
${FEED_ORDER}
local function keep() for _, key in ipairs({ record, chunks, lanes }) do redis.call('PERSIST', key) end end
local function bind(to, became)
  if not claim then return end
  redis.call('HSET', claim, 'batch', to, 'became', became, 'content', content, 'answer', answer)
  redis.call('PEXPIRE', claim, ${CLAIM_KEPT_MS})
end
local now = clockMs()
local after = stateAfter('activate', redis.call('HGET', record, 'state'))
if not after then
  -- Activated before, perhaps by a call whose reply was lost: what was written for this call must not expire. Or cancelled as a plan.
  if not redis.call('HGET', record, 'accepted') then return '' end
  keep()
  return batch
end
-- Sent again.
if awaiting ~= '' and redis.call('HEXISTS', record, 'awaiting') == 1 then return batch end
if redis.call('HLEN', chunks) ~= tonumber(chunkCount) then return '' end
local bound = claim and redis.call('HMGET', claim, 'holder', 'batch')
if bound and bound[1] ~= holder then return '?' end
-- Sent again: the answer must not change because the earlier batch has ended meanwhile.
if bound and bound[2] then return bound[2] end
if occurrence and not mayEnd(scheduleClaim, ends, occurrence.id, occurrence.holder) then return '?' end
local usedFor = used and redis.call('GET', used)
if usedFor then return '!' .. usedFor end
local earlier = redis.call('HGET', fingerprints, fingerprint)
if earlier then
  bind(earlier, 'at-work')
  return earlier
end
if used then redis.call('SET', used, batch, 'PX', ${USED_PLAN_MS}) end
if occurrence then endOccurrence(schedule, ends, order, occurrence) end
bind(batch, awaiting == '' and 'running' or 'awaits-approval')
for field, value in pairs({ reason = reason, manifestSha256 = manifest, planId = planId }) do
  if value ~= '' then redis.call('HSET', record, field, value) end
end
if awaiting ~= '' then
  redis.call('HSET', record, 'awaiting', awaiting, 'submittedAt', now, 'layout', ${LAYOUT_VERSION})
  for _, key in ipairs({ record, chunks, lanes }) do redis.call('PEXPIRE', key, ${AWAITING_MS}) end
  redis.call('ZADD', batches, now, batch)
  audit(stream, head, auditNote(note), '{"accepted":' .. accepted .. '}')
  return batch
end
redis.call('HDEL', record, 'awaiting')
redis.call('HSET', fingerprints, fingerprint, batch)
redis.call('HSET', record, 'state', after, 'accepted', accepted, 'fingerprint', fingerprint, 'submittedAt', now, 'layout', ${LAYOUT_VERSION})
local action = redis.call('HGET', record, 'action')
local needed = action == 'retire' and ${RETIREMENT_SINCE} or action and ${ACTIONS_SINCE} or 0
if tonumber(redis.call('GET', layout) or 0) < needed then redis.call('SET', layout, needed) end
local waits = occurrence and occurrence.waitsBecause
if waits then redis.call('HSET', record, 'state', stateAfter('pause', after), 'pausedBecause', waits, 'pausedBy', 'window') end
keep()
redis.call('ZADD', batches, now, batch)
redis.call('ZADD', active, feedOrder(rank, now), batch)
redis.call('INCR', signals)
audit(stream, head, auditNote(note), auditCounts(record))
return batch`;

/**
 * Takes every trace of a plan away; what runs, or ran, is no plan any more.
 * KEYS record chunks lanes batches; ARGV batch.
 */
export const WITHDRAW = `local record, chunks, lanes, batches = unpack(KEYS)
local batch = unpack(ARGV)
if redis.call('HEXISTS', record, 'accepted') == 1 then return end
redis.call('UNLINK', record, chunks, lanes)
redis.call('ZREM', batches, batch)`;

/**
 * An operator's or the breaker's change of state. The breaker says how often the batch it judged had been resumed: of one that was resumed since,
 * it knows nothing.
 * A schedule's window resumes only what it has paused itself, and nobody has looked at the batch then. Who pauses what the window has paused, has it
 * stay so. A cancel of a batch that retires opens what it has marked, so that each item comes to its end.
 * KEYS record signals fingerprints active, the audit record's two, settled marked; ARGV event reason batch resumes note by: `window`, or empty.
 * Replies the state after it; `!` and the present state when the event has no place there; empty when there is no batch.
 */
export const CHANGE_STATE = `local record, signals, fingerprints, active, stream, head, settled, marked = unpack(KEYS)
local event, reason, batch, resumes, _, by = unpack(ARGV)
${AUDIT}
${DRAIN}
${OPEN_MARKED}
local note = auditNote(ARGV[5])
local state = redis.call('HGET', record, 'state')
if not state then return '' end
if auditedBefore(stream, note) then return state end
local after = stateAfter(event, state)
-- A direct batch that has come to its end for now can be paused: its next job would open it again.
local isDirect = not redis.call('HGET', record, 'fingerprint')
if event == 'pause' and isDirect and not after then after = stateAfter('pause', stateAfter('reopen', state)) end
local isWindow, isOfWindow = by == 'window', redis.call('HGET', record, 'pausedBy') == 'window'
if isWindow and event == 'resume' and not isOfWindow then after = nil end
if not isWindow and event == 'pause' and isOfWindow and state == 'paused' then after = state end
if resumes ~= '' and resumes ~= (redis.call('HGET', record, 'resumes') or '0') then after = nil end
if not after then return '!' .. state end
redis.call('HSET', record, 'state', after)
redis.call('HDEL', record, 'pausedBy')
if event == 'pause' then
  if isWindow then redis.call('HSET', record, 'pausedBy', 'window') end
  redis.call('HSET', record, 'pausedBecause', reason)
  redis.call('HDEL', record, 'completedAt')
else redis.call('HDEL', record, 'pausedBecause') end
if event == 'resume' and not isWindow then
  redis.call('HINCRBY', record, 'resumes', 1)
  -- A direct batch begins a new hour.
  redis.call('HDEL', record, 'taken')
  local counts = {}
  for at, value in ipairs(redis.call('HMGET', record, unpack(COUNTED))) do counts[COUNTED[at]] = tonumber(value or 0) end
  counts.inactivated = counts.inactivated + tonumber(redis.call('HGET', record, 'passed') or 0)
  redis.call('HSET', record, 'resumedAt', cjson.encode(counts))
end
if event == 'cancel' then
  local phase = redis.call('HGET', record, 'phase')
  if phase == 'inactivating' or phase == 'soaking' then
    openMarked(record, settled, marked)
    redis.call('HSET', record, 'phase', 'deleting')
  end
end
-- A cancelled manifest may be submitted again at once, whatever of it is still to be settled.
local print = event == 'cancel' and redis.call('HGET', record, 'fingerprint')
if print and redis.call('HGET', fingerprints, print) == batch then redis.call('HDEL', fingerprints, print) end
redis.call('INCR', signals)
-- A direct batch may have come to its end while it was paused. A plan has no items yet.
if redis.call('HGET', record, 'accepted') then drain(record, active, fingerprints, batch) end
audit(stream, head, note, auditCounts(record))
return redis.call('HGET', record, 'state')`;

/**
 * An operator's change of the order in which batches are fed. It keeps its age among those of its new rank.
 * KEYS record signals active, the audit record's two; ARGV batch priority rank note.
 * Replies `changed`, or `same` where it had that priority; `!` and the state in which nothing of it is fed any more, or not yet; empty when there is
 * no batch.
 */
export const CHANGE_PRIORITY = `local record, signals, active, stream, head = unpack(KEYS)
local batch, priority, rank = unpack(ARGV)
${AUDIT}
${FEED_ORDER}
local note = auditNote(ARGV[4])
local state, before, submittedAt = unpack(redis.call('HMGET', record, 'state', 'priority', 'submittedAt'))
if not state then return '' end
if auditedBefore(stream, note) then return 'changed' end
if state ~= 'running' and state ~= 'paused' then return '!' .. state end
if before == priority then return 'same' end
redis.call('HSET', record, 'priority', priority)
redis.call('ZADD', active, 'XX', feedOrder(rank, submittedAt or 0), batch)
redis.call('INCR', signals)
audit(stream, head, note, auditCounts(record))
return 'changed'`;

/**
 * Keeps what a verification found, the last one only; the record of changes has all of them.
 * KEYS record, the audit record's two; ARGV note result (JSON without its beginning, the time), counts. Replies 1, or 0 where there is no such batch.
 */
export const VERIFIED = `local record, stream, head = unpack(KEYS)
${AUDIT}
${CLOCK}
local note = auditNote(ARGV[1])
if auditedBefore(stream, note) then return 1 end
if redis.call('EXISTS', record) == 0 then return 0 end
redis.call('HSET', record, 'verified', string.format('{"at":%.0f,', clockMs()) .. ARGV[2])
audit(stream, head, note, ARGV[3])
return 1`;

/**
 * Takes a finished batch away, in one step, so that no dead letter is retried in between. What is left of it is a line.
 * KEYS batches forgotten, the audit record's two, record dead ledger others...;
 * ARGV batch note reportSha256 lastEntry, the last entry of the ledger that the report was made of; both empty where there is none.
 * Replies `forgotten`, or why not: `no-batch`, `refused`, `has-letters`, `changed` (the report is no longer the whole).
 */
export const FORGET = `local batches, forgotten, stream, head, record, dead, ledger = unpack(KEYS)
local batch, reportSha256, lastEntry = ARGV[1], ARGV[3], ARGV[4]
${AUDIT}
${COUNTS}
local note = auditNote(ARGV[2])
if auditedBefore(stream, note) then return 'forgotten' end
local _, pending, state = pendingOf(record, 'state')
if not state then return 'no-batch' end
if pending > 0 or (state ~= 'completed' and state ~= 'cancelled') then return 'refused' end
if redis.call('HLEN', dead) > 0 then return 'has-letters' end
local last = redis.call('XREVRANGE', ledger, '+', '-', 'COUNT', 1)[1]
if lastEntry ~= '' and (not last or last[1] ~= lastEntry) then return 'changed' end
local counts = auditCounts(record)
local left = { forgottenAt = redis.call('TIME')[1] * 1000, state = state, counts = cjson.decode(counts), auditSeq = audit(stream, head, note, counts) }
if reportSha256 ~= '' then left.reportSha256 = reportSha256 end
local fields = { 'requestedBy', 'reason', 'manifestSha256', 'submittedAt', 'completedAt', 'action' }
for at, value in ipairs(redis.call('HMGET', record, unpack(fields))) do
  if value then left[fields[at]] = (at == 4 or at == 5) and tonumber(value) or value end
end
redis.call('HSET', forgotten, batch, cjson.encode(left))
redis.call('ZREM', batches, batch)
for at = 5, #KEYS do redis.call('UNLINK', KEYS[at]) end
return 'forgotten'`;
