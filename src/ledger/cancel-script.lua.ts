import { COUNT_FIELD } from '../core/batch.ts';
import { LEFT_INACTIVE } from './retirement.lua.ts';
import { ATTEMPTS, BITS, DRAIN, luaTable } from './script-parts.lua.ts';

/**
 * Settles as cancelled every item of a list of which no call may have worked; the batch must be cancelled. Whatever has the item learns of it
 * before it calls.
 * What a batch that retires has marked is left inactive.
 * KEYS record active fingerprints settled ledger attempts adopted marked markedBefore; ARGV batch evenIfCalled items, JSON: each { n, key }, op, which
 * names this sweep.
 * Replies their ordinals by outcome, as JSON, the same where the client sends it again.
 */
export const CANCEL_ITEMS = `local record, active, fingerprints, settled, ledger, attempts, adopted, marked, markedBefore = unpack(KEYS)
local batch, evenIfCalled, items, op = ARGV[1], ARGV[2] == '1', cjson.decode(ARGV[3]), ARGV[4]
${DRAIN}
${ATTEMPTS}
${BITS}
${LEFT_INACTIVE}
local function toldOf(rows)
  local found = {}
  for outcome, list in pairs(rows) do
    found[outcome] = {}
    for at, row in ipairs(list) do found[outcome][at] = row[1] end
  end
  return cjson.encode(found)
end
local FIELD = { ${luaTable(COUNT_FIELD)} }
local state, action = unpack(redis.call('HMGET', record, 'state', 'action'))
if state ~= 'cancelled' then return '{}' end
local function endOf(n)
  if action ~= 'retire' or redis.call('GETBIT', marked, n) == 0 then return 'cancelled' end
  return leftInactive(markedBefore, n)
end
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
    local outcome = endOf(item[1])
    local list = rows[outcome] or {}
    rows[outcome] = list
    list[#list + 1] = { item[1], '', 0, '' }
    addBit(bitsToSet, item[1])
    if texts[at] then gone[#gone + 1] = item[1] end
    -- So that its producer may have the certificate taken in again.
    if item[2] then freed[#freed + 1] = item[2] end
  end
end
if isAnySettled then
  local told = {}
  for _, entry in ipairs(redis.call('XREVRANGE', ledger, '+', '-', 'COUNT', 100)) do
    if entry[2][3] == 'op' and entry[2][4] == op then told[entry[2][1]] = cjson.decode(entry[2][2]) end
  end
  if next(told) then return toldOf(told) end
end
if #bitsToSet == 0 then return '{}' end
redis.call('BITFIELD', settled, unpack(bitsToSet))
if #gone > 0 then redis.call('HDEL', attempts, unpack(gone)) end
if #freed > 0 then redis.call('HDEL', adopted, unpack(freed)) end
for outcome, list in pairs(rows) do
  redis.call('XADD', ledger, '*', outcome, cjson.encode(list), 'op', op)
  redis.call('HINCRBY', record, FIELD[outcome], #list)
end
drain(record, active, fingerprints, batch)
return toldOf(rows)`;
