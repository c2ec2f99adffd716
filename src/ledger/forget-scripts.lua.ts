import { AUDIT } from '../audit/record.lua.ts';
import { OUTCOMES } from '../core/batch.ts';

/**
 * Takes the settled items of some entries of a direct batch's ledger out of Redis, with the entries. Their bits and counts stay. The item of a dead
 * letter stays whole, until somebody has dealt with that.
 * KEYS record ledger chunks dead superseded history, the audit record's two; ARGV from to count, of entries, note, empty where it is on record.
 * Replies { items forgotten, the last entry that was looked at, or empty behind the last one }.
 */
export const FORGET_ITEMS = `local record, ledger, chunks, dead, superseded, history, stream, head = unpack(KEYS)
${AUDIT}
local from, to, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
local isOutcome = {}
for _, name in ipairs({ ${OUTCOMES.map((outcome) => `'${outcome}'`).join(', ')} }) do isOutcome[name] = true end
local entries = redis.call('XRANGE', ledger, from, to, 'COUNT', most)
local gone, items, marks = {}, {}, {}
for _, entry in ipairs(entries) do
  local id, fields = entry[1], entry[2]
  local isKept = false
  if redis.call('SISMEMBER', superseded, id) == 1 then
    -- What it told of counts no longer: the item has another entry, or pends.
    marks[#marks + 1] = id
  elseif fields[1] == 'n' then
    isKept = redis.call('HEXISTS', dead, fields[2]) == 1 and fields[4] == 'dead'
    if isOutcome[fields[4]] and not isKept then items[#items + 1] = fields[2] end
  elseif isOutcome[fields[1]] then
    for _, row in ipairs(cjson.decode(fields[2])) do items[#items + 1] = row[1] end
  end
  if not isKept then gone[#gone + 1] = id end
end
-- Cut, since a command in a script takes a few thousand arguments at most.
local function each(command, key, list)
  for at = 1, #list, 1000 do redis.call(command, key, unpack(list, at, math.min(at + 999, #list))) end
end
each('XDEL', ledger, gone)
each('SREM', superseded, marks)
each('HDEL', chunks, items)
each('HDEL', history, items)
if #items > 0 then
  redis.call('HINCRBY', record, 'forgotten', #items)
  -- Once, with the first of its steps, also where that is sent again and finds the next ones.
  local note = ARGV[4] ~= '' and auditNote(ARGV[4])
  if note and not auditedBefore(stream, note) then audit(stream, head, note, auditCounts(record)) end
end
return { #items, #entries == most and entries[most][1] or '' }`;
