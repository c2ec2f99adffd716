import { STOP_MARK } from '../halts/stop.ts';
import { CLOCK_FIELDS, FLOOR, type TimeSource } from './clock-script.ts';

/** No more gaps are remembered; only an account far from its limit has as many. */
const MOST_GAPS = 64;

/**
 * The slots, in Lua. An account and an egress address each have a clock: a hash with the moments at which it has a slot to give. All times are
 * whole microseconds of Redis' own time, so that the sums are exact and no client's clock plays a part.
 *
 * Why no sliding second is over a clock's qps. Any two slots of a clock have moments at least s apart, where s = (1000 ms + late) / qps, rounded
 * up. The call of slot k leaves at c(k), with t(k) <= c(k) <= t(k) + late. If the calls of slots i < j, in the order of their moments, both leave
 * within [w, w + 1000 ms), then t(j) - t(i) <= c(j) - c(i) + late < 1000 ms + late, so (j - i) * s < qps * s, so j - i < qps: at most qps calls.
 *
 * Why a call's moment is not its slots' moment. A call needs a slot of both clocks. With two egress addresses at 280 on an account of 480, each
 * address' slots are wider apart than the account's; were the call's moment x that of both slots, what lies between would be lost to the other
 * address. So a clock may set its slot up to `lag` = late / 2 before x. The call leaves between x and min(both slots' moments) + late: the
 * proof holds for both clocks, and the time to leave in is at least late - lag. The lag is taken only where it gains something: on a clock that
 * is shared (an account by addresses, an address by accounts), or to make up for what a late pulse lost.
 *
 * Why a process rests. Redis' clock may go forward at once, and slots given before are then nearer to the next ones than Redis knows. So a process
 * uses none until it has known Redis' clock for longer than the calls of such slots take and a second: a step that it has not seen was before that,
 * and with a step that it sees it begins again. Nobody else has to wait for it.
 *
 * Why a clock has gaps. An address at its limit reserves ahead of the account's other addresses; the account's moments that it skips stay to be
 * given until they have passed.
 *
 * Why a lowered pace holds from two seconds on. The script reads it in the same step that gives slots, so slots given after the command are so far apart
 * as it wants. Those given before are at most `HORIZON` ahead and leave within `late`: none is left after two seconds. The gaps between them are dropped,
 * since the spacing is another one.
 *
 * Why nothing leaves two seconds after a stop. For the same reason: no slot is given while the mark is there, to probes neither.
 *
 * The `reserve` script: slots for calls, and in the same step a note of each call that gets one.
 * KEYS account clock, egress clock, halts, signals, then those of the notes; ARGV slots, account qps, egress qps, lateMs, the account's mark,
 * how many of the calls are probes (they stand first), account, egress, the request of the notes (JSON), how long a noted claim lasts (ms),
 * how far ahead slots may be (ms), and whether this is the first question over its connection: only then can the server be another one.
 * Asked for no slots it tells the time and what the notes say, and has the fence of an unknown clock begin.
 * Replies { signals, halted, wait (us), now (us), { moment, end, ... } (us from now), { calls that got a slot }, verdicts, end of noted claims (ms) }.
 * @param notes - Lua that defines `openCalls`
 */
export function reserveLua(source: TimeSource, notes: string): string {
  return `local accountKey, egressKey, halts, signals = unpack(KEYS, 1, 4)
local NOTES_AT = 5
local wanted, accountQps, egressQps, lateMs, mark, probeCount, accountName, egressName, request, claimMs, aheadMs, first = unpack(ARGV)
${source.now}
${source.run}
${CLOCK_FIELDS}
${notes}
local late = math.floor(lateMs * 1000)
local lag = math.floor(late / 2)
local isFirst = first == '1'
local max, min, ceil, format = math.max, math.min, math.ceil, string.format

-- When the last slots are not known (another server, lost keys) or not credible (its time went back by much), calls may still be leaving from slots
-- given up to now.
local function setFence(key, lateBy)
  local fence = now + HORIZON + lateBy + SECOND
  redis.call('HSET', key, 'next', string.format('%.17g', fence), 'gaps', '', 'run', currentRun())
  redis.call('PEXPIRE', key, keepFor(tonumber(redis.call('HGET', key, 'loweredUntil'))))
  return fence
end

-- While processes disagree (a configuration rolls out) the stricter value rules.
local function agree(clock, field, mine, theirs, ends, theirsIsStricter)
  if theirs and theirsIsStricter and ends > now and ends <= now + RULE then return theirs end
  if theirs ~= mine or ends < now + RULE / 2 or ends > now + RULE then
    put(clock, field, mine)
    put(clock, field .. 'Until', now + RULE)
    clock.renewed = true
  end
  return mine
end

local function read(key, qps, partner)
  local f = redis.call('HMGET', key, 'next', 'run', 'qps', 'qpsUntil', 'late', 'lateUntil', 'partner', 'sharedAt', 'factor', 'factorAt', 'hold', 'given', 'spacing', 'gaps', 'lowered', 'loweredUntil')
  local clock = { key = key, dirty = {}, next = tonumber(f[1]), hold = tonumber(f[11] or 0), given = tonumber(f[12] or 0), loweredUntil = tonumber(f[16]), gaps = {} }
  readFactor(clock, tonumber(f[9]), tonumber(f[10] or 0))
  local theirQps, theirLate = tonumber(f[3]), tonumber(f[5])
  clock.qps = agree(clock, 'qps', qps, theirQps, tonumber(f[4] or 0), theirQps and theirQps < qps)
  clock.late = agree(clock, 'late', late, theirLate, tonumber(f[6] or 0), theirLate and theirLate > late)
  -- Downwards only. What processes are configured with stays in "qps".
  local inForce = min(clock.qps, loweredTo(tonumber(f[15]), clock.loweredUntil or 0) or clock.qps)
  -- In steps, so that gaps stay of use while the pace recovers.
  local factor = math.max(${FLOOR}, math.floor(clock.factor * 50) / 50)
  clock.spacing = math.ceil((SECOND + clock.late) / (inForce * factor))
  local sharedAt = tonumber(f[8] or 0)
  if f[7] ~= partner then
    put(clock, 'partner', partner)
    if f[7] then
      sharedAt = now
      put(clock, 'sharedAt', now)
    end
  end
  clock.shared = sharedAt <= now and now - sharedAt < SECOND
  if clock.hold > now + HOLD then clock.hold = 0 end
  local latest = now + HORIZON + clock.late + SECOND + math.ceil((SECOND + clock.late) / (inForce * ${FLOOR}))
  if not clock.next or isFirst and f[2] ~= currentRun() or clock.next > latest then
    clock.next = setFence(key, clock.late)
  elseif tonumber(f[13]) == clock.spacing then
    -- A gap holds for the spacing that it was made with.
    for from, to in string.gmatch(f[14] or '', '(%d+)-(%d+)') do
      if tonumber(to) >= now - lag then clock.gaps[#clock.gaps + 1] = { tonumber(from), tonumber(to) } end
    end
  end
  return clock
end

-- The first free moment of a span, not before "from"; where x allows, a whole number of spacings into it, so that what is left before can all be used.
local function momentIn(spacing, first, last, from, x)
  local moment = first
  if from > first then
    moment = first + ceil((from - first) / spacing) * spacing
    if moment > x or moment > last then moment = from end
  end
  return moment <= last and moment
end

-- The clock's first free moment for a call at x, and the gap it is in.
local function momentFor(clock, x)
  local from = (clock.shared or x == now) and x - lag or x
  local gaps = clock.gaps
  for at = 1, #gaps do
    local gap = gaps[at]
    local moment = gap[2] >= from and momentIn(clock.spacing, gap[1], gap[2], from, x)
    if moment then return moment, at end
  end
  return momentIn(clock.spacing, clock.next, math.huge, from, x)
end

local function occupy(clock, moment, at)
  local from, to, place = clock.next, moment - clock.spacing, #clock.gaps + 1
  if at then
    local gap = table.remove(clock.gaps, at)
    from, place = gap[1], at
    if moment + clock.spacing <= gap[2] then table.insert(clock.gaps, at, { moment + clock.spacing, gap[2] }) end
  else
    clock.next = moment + clock.spacing
  end
  if from <= to and #clock.gaps < ${MOST_GAPS} then table.insert(clock.gaps, place, { from, to }) end
end

local function saveSlots(clock, given)
  local gaps = {}
  for at, gap in ipairs(clock.gaps) do gaps[at] = format('%.0f-%.0f', gap[1], gap[2]) end
  put(clock, 'gaps', table.concat(gaps, ' '))
  put(clock, 'spacing', clock.spacing)
  put(clock, 'next', clock.next)
  put(clock, 'given', clock.given + given)
end

wanted = tonumber(wanted)
local ahead = math.min(HORIZON, math.floor(aheadMs * 1000))
for _, key in ipairs(wanted == 0 and { accountKey, egressKey } or {}) do
  local known = redis.call('HGET', key, 'run')
  if not known or isFirst and known ~= currentRun() then setFence(key, late) end
end
local nowMs = math.floor(now / 1000)
local verdicts, callable, note = openCalls(cjson.decode(request), NOTES_AT, nowMs, tonumber(claimMs))
local slots, served = {}, {}
local halted, stopped = unpack(redis.call('HMGET', halts, mark, '${STOP_MARK}'))
local reply = { tonumber(redis.call('GET', signals) or 0), (halted or stopped) and 1 or 0, 0, now, slots, served, verdicts, string.format('%.0f', nowMs + claimMs) }
if stopped then wanted = 0 end
if halted then
  local probes = {}
  for _, at in ipairs(callable) do if at <= tonumber(probeCount) then probes[#probes + 1] = at end end
  for at = 1, #callable do callable[at] = probes[at] end
end
wanted = math.min(wanted, #callable)
if wanted == 0 then return reply end

local account = read(accountKey, tonumber(accountQps), egressName)
local egress = read(egressKey, tonumber(egressQps), accountName)
local given = 0
-- No slot can be before the one given last: that one took the first moment there was.
local x = max(now, account.hold)
while given < wanted do
  local a, e, inA, inE
  repeat
    a, inA = momentFor(account, x)
    e, inE = momentFor(egress, x)
    local settled = a <= x and e <= x
    x = max(x, a, e)
  until settled
  if x - now > ahead then
    reply[3] = x - now - ahead
    break
  end
  occupy(account, a, inA)
  occupy(egress, e, inE)
  given = given + 1
  served[given] = callable[given]
  slots[2 * given - 1] = x - now
  slots[2 * given] = min(a, e) + late - now
end
if given > 0 then
  saveSlots(account, given)
  saveSlots(egress, given)
  note(given)
end
save(account)
save(egress)
return reply
`;
}
