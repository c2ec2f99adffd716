import { DONE_OUTCOMES } from '../core/action.ts';
import { COUNT_FIELD } from '../core/batch.ts';
import { ATTEMPTS, BITS, DRAIN } from './script-parts.lua.ts';

/**
 * What became of some items of one batch since the last time, in one step: settled, or to wait, or given back to their job.
 *
 * Who may say so: a success counts whichever run has heard it. Everything else may have become untrue, since another run may have called
 * meanwhile: of an item that was called for it counts only while the note of the call is this run's, and of any other (`isUncalled`) while no live
 * job has noted one and the item does not wait, or waits under this run's claim.
 *
 * KEYS record active fingerprints settled ledger dead adopted attempts history waiting...;
 * ARGV batch, and as JSON the names of the runs and the items: each has n, run (index of its name), waiting (index of its instance's key), both from
 * 1, of a claim its score, and
 * - kind `settle` with outcome code requestId calls absence, and where they apply letter (JSON without its end), key;
 * - kind `wait` with delayMs, and where a call was made failures calls unknown;
 * - kind `release` with failures calls unknown.
 * Replies for each item `settled`, `already` (by another run), `unknown` (no such item), `waiting`, `released` or `overtaken`, and at last whether
 * the batch is `drained`.
 */
export const REPORT_ITEMS = `local record, active, fingerprints, settled, ledger, dead, adopted, attempts, history = unpack(KEYS)
local batch, report = ARGV[1], cjson.decode(ARGV[2])
local items = report.items
for _, item in ipairs(items) do item.run = report.runs[item.run] end
local function placeOf(item) return KEYS[9 + item.waiting], batch .. ' ' .. item.n end
${DRAIN}
${ATTEMPTS}
${BITS}
local now = clockMs()
local FIELD = { ${luaTable(COUNT_FIELD)} }
local IS_DONE = { ${luaTable(Object.fromEntries(DONE_OUTCOMES.map((outcome) => [outcome, true])))} }
local accepted, pendingBefore, completedAt = pendingOf(record, 'completedAt')
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
local function settle(item, attempt)
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
    return
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
    replies[at] = item.kind == 'settle' and isOurs(item) and 'settled' or 'already'
    isTold = isTold or replies[at] == 'settled'
    if item.score then redis.call('ZREM', placeOf(item)) end
  elseif item.kind == 'settle' and IS_DONE[item.outcome] then
    settle(item, attempt)
    replies[at] = 'settled'
  elseif not isOwn and not (item.isUncalled and isFree(item, attempt)) then
    replies[at] = 'overtaken'
  elseif item.kind == 'settle' then
    if not isOwn and attempt.run ~= '' then assumeCrashed(attempt) end
    if item.outcome == 'cancelled' and (attempt.unknown or item.unknown) then
      replies[at] = 'overtaken'
    else
      settle(item, attempt)
      replies[at] = 'settled'
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
  -- An item whose dead letter was retried is not what its key stands for now.
  local held, free = redis.call('HMGET', adopted, unpack(freed)), {}
  for at, key in ipairs(freed) do if tonumber(held[at] or -1) == freedOf[at] then free[#free + 1] = key end end
  if #free > 0 then redis.call('HDEL', adopted, unpack(free)) end
end
local ended = #bitsToSet / 4
if ended > 0 then redis.call('BITFIELD', settled, unpack(bitsToSet)) end
for outcome, list in pairs(rows) do redis.call('XADD', ledger, '*', outcome, cjson.encode(list)) end
for outcome, count in pairs(counts) do redis.call('HINCRBY', record, FIELD[outcome], count) end
if absences > 0 then redis.call('HINCRBY', record, 'confirmedByAbsence', absences) end
local pending = pendingBefore - ended
local drained = isTold and completedAt and 'drained' or ''
replies[#replies + 1] = ended > 0 and pending <= 0 and drain(record, active, fingerprints, batch) or drained
return replies`;

/**
 * Settles as cancelled every item of a list of which no call may have worked; the batch must be cancelled. Whatever has the item learns of it
 * before it calls.
 * KEYS record active fingerprints settled ledger attempts adopted; ARGV batch evenIfCalled items, JSON: each { n, key }, op, which names this sweep.
 * Replies their ordinals, the same where the client sends it again.
 */
export const CANCEL_ITEMS = `local record, active, fingerprints, settled, ledger, attempts, adopted = unpack(KEYS)
local batch, evenIfCalled, items, op = ARGV[1], ARGV[2] == '1', cjson.decode(ARGV[3]), ARGV[4]
${DRAIN}
${ATTEMPTS}
${BITS}
local function ordinalsOf(rows)
  local found = {}
  for at, row in ipairs(rows) do found[at] = row[1] end
  return found
end
if redis.call('HGET', record, 'state') ~= 'cancelled' then return {} end
local ordinals = {}
for at, item in ipairs(items) do ordinals[at] = item[1] end
local bits = bitsOf(settled, ordinals)
local texts = redis.call('HMGET', attempts, unpack(ordinals))
local rows, bitsToSet, freed, gone, listed, isAnySettled = {}, {}, {}, {}, {}, false
for at, item in ipairs(items) do
  isAnySettled = isAnySettled or bits[at] == 1
  local attempt = parseAttempt(texts[at])
  local isFree = evenIfCalled or (attempt.run == '' and not attempt.unknown)
  if bits[at] == 0 and isFree and not listed[item[1]] then
    listed[item[1]] = true
    rows[#rows + 1] = { item[1], '', 0, '' }
    addBit(bitsToSet, item[1])
    if texts[at] then gone[#gone + 1] = item[1] end
    -- So that its producer may have the certificate taken in again.
    if item[2] then freed[#freed + 1] = item[2] end
  end
end
if isAnySettled then
  for _, entry in ipairs(redis.call('XREVRANGE', ledger, '+', '-', 'COUNT', 100)) do
    if entry[2][1] == 'cancelled' and entry[2][4] == op then return ordinalsOf(cjson.decode(entry[2][2])) end
  end
end
if #rows == 0 then return {} end
redis.call('BITFIELD', settled, unpack(bitsToSet))
if #gone > 0 then redis.call('HDEL', attempts, unpack(gone)) end
if #freed > 0 then redis.call('HDEL', adopted, unpack(freed)) end
redis.call('XADD', ledger, '*', 'cancelled', cjson.encode(rows), 'op', op)
redis.call('HINCRBY', record, 'cancelled', #rows)
drain(record, active, fingerprints, batch)
return ordinalsOf(rows)`;

function luaTable(of: Readonly<Record<string, string | true>>): string {
  return Object.entries(of)
    .map(([name, value]) => `['${name}'] = ${value === true ? 'true' : `'${value}'`}`)
    .join(', ');
}
