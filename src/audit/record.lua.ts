import { COUNTED } from '../core/batch.ts';
import { NO_PREVIOUS } from './entry.ts';

/** On record also where it is 0; other counts are left out then, which are those of other actions than the batch's. */
const ALWAYS: ReadonlySet<string> = new Set(['accepted', 'revoked', 'alreadyGone', 'dead', 'cancelled']);
const FIELDS = COUNTED.map((field) => `'${field}'`).join(', ');

/**
 * Lua: writes an entry of the audit record in the script that makes the change. A script that uses it declares the keys of `auditKeys` and gets an
 * argument of `auditNote`:
 *
 *     local note = auditNote(ARGV[n])
 *     local earlier = auditedBefore(stream, note)      -- this very operation, sent again: change nothing, reply the same
 *     ...
 *     audit(stream, head, note, auditCounts(record))   -- with the change, and only with one
 *
 * An entry of the stream has the fields `entry`, `hash` and `op`. `entry` is JSON in printable ASCII without `hash`; `hash` is the SHA-1 of exactly
 * those bytes, which name the hash before them. `op` names the operation, so that one that is sent again is known; it is not part of the record.
 */
export const AUDIT = `local function auditNote(json)
  local op, first, last = unpack(cjson.decode(json))
  return { op = op, first = first, last = last }
end
-- A client sends again within seconds: further back is no need to look.
local function auditedBefore(stream, note)
  for _, found in ipairs(redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 100)) do
    if found[2][6] == note.op then return cjson.decode(found[2][2]) end
  end
  return nil
end
local COUNTS_ON_RECORD = { ${FIELDS} }
local IS_ALWAYS = { ${COUNTED.map((field) => ALWAYS.has(field)).join(', ')} }
local function auditCounts(record, more)
  local parts = {}
  for at, value in ipairs(redis.call('HMGET', record, unpack(COUNTS_ON_RECORD))) do
    local count = tonumber(value or 0)
    if IS_ALWAYS[at] or count > 0 then parts[#parts + 1] = string.format('"%s":%d', COUNTS_ON_RECORD[at], count) end
  end
  return '{' .. table.concat(parts, ',') .. (more or '') .. '}'
end
local function audit(stream, head, note, counts)
  local time, last = redis.call('TIME'), redis.call('HMGET', head, 'seq', 'hash')
  local at = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  local seq, previous = tonumber(last[1] or 0) + 1, last[2] or '${NO_PREVIOUS}'
  local entry = string.format('{"seq":%d,"at":%s,', seq, at) .. note.first .. ',"counts":' .. (counts or 'null') .. ',' .. note.last .. ',"previous":"' .. previous .. '"}'
  local hash = redis.sha1hex(entry)
  redis.call('XADD', stream, '*', 'entry', entry, 'hash', hash, 'op', note.op)
  redis.call('HSET', head, 'seq', seq, 'hash', hash)
  return seq
end`;
