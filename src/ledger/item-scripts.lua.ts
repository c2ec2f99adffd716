import { DONE_OUTCOMES } from '../core/action.ts';
import { COUNT_FIELD } from '../core/batch.ts';
import { LEFT_INACTIVE } from './retirement.lua.ts';
import { ATTEMPTS, BITS, DRAIN, luaTable } from './script-parts.lua.ts';

/**
 * What became of some items of one batch since the last time, in one step: settled, or to wait, or given back to their job.
 *
 * Who may say so: a success counts whichever run has heard it. Everything else may have become untrue, since another run may have called
 * meanwhile: of an item that was called for it counts only while the note of the call is this run's, and of any other (`isUncalled`) while no live
 * job has noted one and the item does not wait, or waits under this run's claim.
 *
 * Of a batch that retires, an item that was marked inactive while the batch is `inactivating` has not ended: it is marked, and stays pending. What is
 * given up later is left inactive.
 *
 * KEYS record active fingerprints settled ledger dead adopted attempts history marked markedBefore waiting...;
 * ARGV batch, and as JSON the names of the runs and the items: each has n, run (index of its name), waiting (index of its instance's key), both from
 * 1, of a claim its score, and
 * - kind `settle` with outcome code requestId calls absence, and where they apply letter (JSON without its end), key;
 * - kind `wait` with delayMs, and where a call was made failures calls unknown;
 * - kind `release` with failures calls unknown.
 * Replies for each item `settled`, or its outcome where it was left inactive, `marked`, `already` (by another run), `unknown` (no such item), `waiting`, `released` or `overtaken`, and at last whether
 * the batch is `drained`.
 */
export const REPORT_ITEMS = `local record, active, fingerprints, settled, ledger, dead, adopted, attempts, history, marked, markedBefore = unpack(KEYS)
local batch, report = ARGV[1], cjson.decode(ARGV[2])
local items = report.items
for _, item in ipairs(items) do item.run = report.runs[item.run] end
local function placeOf(item) return KEYS[11 + item.waiting], batch .. ' ' .. item.n end
${DRAIN}
${ATTEMPTS}
${BITS}
${LEFT_INACTIVE}
local now = clockMs()
local FIELD = { ${luaTable(COUNT_FIELD)} }
local IS_DONE = { ${luaTable(Object.fromEntries(DONE_OUTCOMES.map((outcome) => [outcome, true])))} }
local accepted, pendingBefore, completedAt, action, phase = pendingOf(record, 'completedAt', 'action', 'phase')
local ordinals = {}
for at, item in ipairs(items) do ordinals[at] = item.n end
local bits = bitsOf(settled, ordinals)
local texts = redis.call('HMGET', attempts, unpack(ordinals))
local known, isSettled = {}, {}
for at, item in ipairs(items) do
  known[item.n] = known[item.n] or parseAttempt(texts[at])
  isSettled[item.n] = bits[at] == 1
end

-- Clients send a script again when its reply was lost: what this very run has settled is told again.
local told
local settledNow = {}
local function nameOf(item)
  return string.format('%d %s', item.n, item.requestId ~= '' and item.requestId or item.run)
end
local function isOurs(item)
  if settledNow[nameOf(item)] then return true end
  if not told then
    told = {}
    for _, entry in ipairs(redis.call('XREVRANGE', ledger, '+', '-', 'COUNT', 200)) do
      local fields = entry[2]
      if fields[1] == 'n' then
        local field = {}
        for at = 1, #fields, 2 do field[fields[at]] = fields[at + 1] end
        told[field.n .. ' ' .. (field.requestId ~= '' and field.requestId or field.run or '-')] = true
      else
        for _, row in ipairs(cjson.decode(fields[2])) do told[string.format('%d %s', row[1], row[2])] = true end
      end
    end
  end
  return told[nameOf(item)]
end

local replies, counts, absences, rows, bitsToSet, gone, toSet, freed, freedOf = {}, {}, 0, {}, {}, {}, {}, {}, {}
local isTold = false
local passed, passedBefore = {}, {}
-- Later, an item that was not marked then ends inactive: its soak would be over already.
local function isPassing(item)
  return phase == 'inactivating' and (item.outcome == 'inactivated' or item.outcome == 'already-inactive')
end
local function isMarked(item) return action == 'retire' and redis.call('GETBIT', marked, item.n) == 1 end
-- What rests on a read may have become untrue.
local function isSure(item)
  return IS_DONE[item.outcome] and not (item.outcome == 'inactivated' and isMarked(item))
end
local function pass(item)
  isSettled[item.n], settledNow[nameOf(item)] = true, true
  addBit(passed, item.n)
  if item.outcome == 'already-inactive' then addBit(passedBefore, item.n) end
  gone[#gone + 1] = item.n
  if item.score then redis.call('ZREM', placeOf(item)) end
  local name = 'marked-' .. item.outcome
  local list = rows[name] or {}
  rows[name] = list
  list[#list + 1] = { item.n, item.requestId ~= '' and item.requestId or item.run, item.calls, item.code }
  return 'marked'
end
local function settle(item, attempt)
  local reply = 'settled'
  if (item.outcome == 'cancelled' or item.outcome == 'inactivated') and isMarked(item) then
    item.outcome = leftInactive(markedBefore, item.n)
    reply = item.outcome
  end
  isSettled[item.n], settledNow[nameOf(item)] = true, true
  counts[item.outcome] = (counts[item.outcome] or 0) + 1
  if item.absence then absences = absences + 1 end
  addBit(bitsToSet, item.n)
  gone[#gone + 1] = item.n
  if item.key then freed[#freed + 1], freedOf[#freedOf + 1] = item.key, item.n end
  if item.score then redis.call('ZREM', placeOf(item)) end
  if item.requestId ~= '' and item.outcome ~= 'dead' then
    local list = rows[item.outcome] or {}
    rows[item.outcome] = list
    local isPlain = item.calls == 1 and item.code == 'OK'
    list[#list + 1] = isPlain and { item.n, item.requestId } or { item.n, item.requestId, item.calls, item.code }
    return reply
  end
  local entry = { 'n', item.n, 'outcome', item.outcome, 'code', item.code, 'requestId', item.requestId, 'attempts', item.calls }
  if item.requestId == '' and item.run ~= '' then
    entry[11], entry[12] = 'run', item.run
  end
  local id = redis.call('XADD', ledger, '*', unpack(entry))
  if item.letter then
    local past = redis.call('HGET', history, item.n) or '[]'
    redis.call('HSET', dead, item.n, string.format('%s %s,"effectUnknown":%s,"history":%s}', id, item.letter, tostring(attempt.unknown or item.unknown == true), past))
  end
  return reply
end

-- Whether nobody else may have a call of the item on its way.
local function isFree(item, attempt)
  if attempt.run ~= '' and isLive(attempt.run) then return false end
  return tonumber(redis.call('ZSCORE', placeOf(item)) or nil) == item.score
end

for at, item in ipairs(items) do
  local attempt = known[item.n]
  local isOwn = attempt.run == item.run
  if item.n >= accepted then
    replies[at] = 'unknown'
  elseif isSettled[item.n] then
    replies[at] = item.kind == 'settle' and isOurs(item) and (phase and phase ~= 'deleting' and isMarked(item) and 'marked' or 'settled') or 'already'
    isTold = isTold or replies[at] == 'settled'
    if item.score then redis.call('ZREM', placeOf(item)) end
  elseif item.kind == 'settle' and isSure(item) then
    replies[at] = isPassing(item) and pass(item) or settle(item, attempt)
  elseif not isOwn and not (item.isUncalled and isFree(item, attempt)) then
    replies[at] = 'overtaken'
  elseif item.kind == 'settle' then
    if not isOwn and attempt.run ~= '' then assumeCrashed(attempt) end
    if item.outcome == 'cancelled' and (attempt.unknown or item.unknown) then
      replies[at] = 'overtaken'
    else
      replies[at] = isPassing(item) and pass(item) or settle(item, attempt)
    end
  else
    if not isOwn and attempt.run ~= '' then assumeCrashed(attempt) end
    if item.failures then
      attempt.failures, attempt.calls, attempt.unknown = item.failures, item.calls, attempt.unknown or item.unknown
    end
    attempt.run = ''
    if isTrivial(attempt) then gone[#gone + 1] = item.n
    else
      toSet[#toSet + 1] = item.n
      toSet[#toSet + 1] = attemptText(attempt)
    end
    if item.kind == 'wait' then
      local place, member = placeOf(item)
      redis.call('ZADD', place, now + item.delayMs, member)
      replies[at] = 'waiting'
    else
      replies[at] = 'released'
    end
  end
end

if #toSet > 0 then redis.call('HSET', attempts, unpack(toSet)) end
if #gone > 0 then redis.call('HDEL', attempts, unpack(gone)) end
if #freed > 0 then
  -- An item whose dead letter was retried is not what its key names now.
  local held, free = redis.call('HMGET', adopted, unpack(freed)), {}
  for at, key in ipairs(freed) do if tonumber(held[at] or -1) == freedOf[at] then free[#free + 1] = key end end
  if #free > 0 then redis.call('HDEL', adopted, unpack(free)) end
end
local ended = #bitsToSet / 4
if ended > 0 then redis.call('BITFIELD', settled, unpack(bitsToSet)) end
if #passed > 0 then
  redis.call('BITFIELD', settled, unpack(passed))
  redis.call('BITFIELD', marked, unpack(passed))
  if #passedBefore > 0 then redis.call('BITFIELD', markedBefore, unpack(passedBefore)) end
  redis.call('HINCRBY', record, 'passed', #passed / 4)
end
for outcome, list in pairs(rows) do redis.call('XADD', ledger, '*', outcome, cjson.encode(list)) end
for outcome, count in pairs(counts) do redis.call('HINCRBY', record, FIELD[outcome], count) end
if absences > 0 then redis.call('HINCRBY', record, 'confirmedByAbsence', absences) end
local pending = pendingBefore - ended
local drained = isTold and completedAt and 'drained' or ''
replies[#replies + 1] = ended > 0 and pending <= 0 and drain(record, active, fingerprints, batch) or drained
return replies`;
