import { AUDIT } from '../audit/record.lua.ts';
import { CLOCK } from '../runtime/redis/script.ts';
import { LAYOUT_VERSION } from './layout.ts';
import { COUNTS, FEED_ORDER, STATES } from './script-parts.lua.ts';

/**
 * Lua: `takenWithin` is how many certificates a direct batch has taken in within the last hour, in steps of a minute that are never too short, and the
 * minutes that it knows; `oneMore` adds one. They are in a field of the record, as [[minute, count], ...]; a resume takes it away.
 */
const HOUR = `local function takenWithin(text, now)
  local minute, minutes, count = math.floor(now / 60000), {}, 0
  for _, known in ipairs(cjson.decode(text or '[]')) do
    -- Also those ahead: the clock may have gone back.
    if math.abs(known[1] - minute) <= 60 then
      minutes[#minutes + 1], count = known, count + known[2]
    end
  end
  return count, minutes
end
local function oneMore(minutes, now)
  local minute, last = math.floor(now / 60000), minutes[#minutes]
  if last and last[1] == minute then last[2] = last[2] + 1 else minutes[#minutes + 1] = { minute, 1 } end
  return cjson.encode(minutes)
end`;

/**
 * Gives a job that belongs to no batch its place in a direct batch; the same job gets the same place again. A job id that names another
 * certificate already is kept under a name of its own: what is settled under a number is what that number's certificate heard. One that is refused
 * has a name of its own too, is marked, since no call may be made for it, and does not count as taken in.
 * KEYS record batches active adopted chunks signals, the audit record's two;
 * ARGV batch jobId certificate rank motive (JSON as it stands behind the key) maxPerHour pausedBecause note (of the pause) refused (its code, or empty).
 * Replies { ordinal, 1 when new, what it is adopted under }; { -1, 0 } while the direct batch is cancelled and not yet drained: going on would
 * revive what was cancelled; { -2, 1 when this paused the batch } where it has accepted as much within an hour as it may.
 */
export const ADOPT = `local record, batches, active, adopted, chunks, signals, stream, head = unpack(KEYS)
local batch, key, certificate, rank, motive, maxPerHour, pausedBecause, note, refused = unpack(ARGV)
local isRefused = refused ~= ''
${AUDIT}
${STATES}
${HOUR}
${COUNTS}
${CLOCK}
${FEED_ORDER}
-- Else it would end what was taken in under its name, or be called for with it.
if isRefused then key = key .. '#' .. redis.sha1hex(certificate .. refused) end
local known = redis.call('HGET', adopted, key)
-- Its key stands behind the certificate, but for what a version before layout 3 wrote.
local unclosed = string.sub(certificate, 1, -2)
local function isSame(kept) return kept == certificate or kept and string.sub(kept, 1, #unclosed + 1) == unclosed .. ',' end
if known and not isSame(redis.call('HGET', chunks, known)) then
  key = key .. '#' .. redis.sha1hex(certificate)
  known = redis.call('HGET', adopted, key)
end
if known then return { tonumber(known), 0, key } end
local _, pending, state, taken = pendingOf(record, 'state', 'taken')
if state == 'cancelled' and pending > 0 then return { -1, 0 } end
local now = clockMs()
local count, minutes = takenWithin(taken, now)
local opened = state and stateAfter('reopen', state) or 'running'
if state and not isRefused and count >= tonumber(maxPerHour) then
  if state == 'paused' then return { -2, 0 } end
  redis.call('HSET', record, 'state', stateAfter('pause', opened), 'pausedBecause', pausedBecause)
  redis.call('HDEL', record, 'completedAt')
  redis.call('INCR', signals)
  audit(stream, head, auditNote(note), auditCounts(record))
  return { -2, 1 }
end
local n = redis.call('HINCRBY', record, 'accepted', 1) - 1
if not state then
  redis.call('HSET', record, 'submittedAt', now, 'priority', 'urgent', 'layout', ${LAYOUT_VERSION})
  redis.call('ZADD', batches, now, batch)
end
redis.call('HSET', record, 'state', opened)
if not isRefused then redis.call('HSET', record, 'taken', oneMore(minutes, now)) end
redis.call('HDEL', record, 'completedAt')
redis.call('HINCRBY', record, 'fed', 1)
redis.call('HSET', adopted, key, n)
local mark = isRefused and ',"refused":' .. cjson.encode(refused) or ''
redis.call('HSET', chunks, n, unclosed .. ',"key":' .. cjson.encode(key) .. motive .. mark .. '}')
redis.call('ZADD', active, 'NX', feedOrder(rank, now), batch)
return { n, 1, key }`;
