import { HORIZON_MS } from '../../core/pace.ts';

/** Where scripts have the time from. */
export interface TimeSource {
  /** Lua that sets `now`, microseconds. */
  readonly now: string;
  /** Lua that defines `currentRun()`, a text that is another one after each start of the server and after a failover. */
  readonly run: string;
}

export const SERVER_TIME: TimeSource = {
  now: `local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]`,
  // Where INFO is forbidden, only lost keys are noticed.
  run: `local runId
    local function currentRun()
      if not runId then
        local info = redis.pcall('INFO', 'server')
        runId = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or 'unknown'
      end
      return runId
    end`,
};

/** After a throttling answer the account's pace is multiplied by this, */
const CUT = 0.7;
/** at most once in this time, microseconds, since the calls of one burst are all refused, */
const CUT_PAUSE_US = 1_000_000;
/** down to this share of the configured pace, */
export const FLOOR = 0.05;
/** and recovers by this share a second. */
const RECOVERY = 0.02;
/** The longest that a throttling answer stops an account, milliseconds. */
export const LONGEST_HOLD_MS = 60_000;

/** A clock that nobody has used for this long is forgotten. */
export const DAY_MS = 86_400_000;

/** A clock's fields and how a Lua script reads and writes them. A key that was lost, or not used for a day, begins behind a fence. */
export const CLOCK_FIELDS = `
local SECOND, HORIZON, HOLD = 1000000, ${HORIZON_MS * 1000}, ${LONGEST_HOLD_MS * 1000}
-- A stricter configuration rules for so long after its process asked last.
local RULE = 5 * SECOND

local function put(clock, field, value)
  if type(value) == 'number' then value = string.format(value % 1 == 0 and '%.0f' or '%.17g', value) end
  clock.dirty[#clock.dirty + 1] = field
  clock.dirty[#clock.dirty + 1] = value
end

-- A lowered pace is not forgotten before its end.
local function keepFor(loweredUntil)
  return math.max(${DAY_MS}, math.ceil(((loweredUntil or 0) - now) / 1000))
end

local function save(clock)
  if #clock.dirty == 0 then return end
  redis.call('HSET', clock.key, unpack(clock.dirty))
  if clock.renewed then redis.call('PEXPIRE', clock.key, keepFor(clock.loweredUntil)) end
end

-- What an operator has lowered the pace to, or nil. It ends by Redis' clock.
local function loweredTo(lowered, loweredUntil)
  return lowered and loweredUntil > now and lowered or nil
end

local function readFactor(clock, factor, at)
  clock.factor, clock.factorAt = 1, at or 0
  if not factor then return end
  -- Redis' clock went back: recovery begins now.
  if at > now then
    clock.factorAt = now
    put(clock, 'factorAt', now)
  end
  clock.factor = math.min(1, factor + ${RECOVERY} * (now - clock.factorAt) / SECOND)
end
`;

/** The `throttled` script. KEYS the account's clock; ARGV how long to stop, milliseconds. */
export function throttleLua(source: TimeSource): string {
  return `local account = KEYS[1]
local holdMs = tonumber(ARGV[1])
${source.now}
${CLOCK_FIELDS}
local f = redis.call('HMGET', account, 'factor', 'factorAt', 'hold', 'loweredUntil')
local clock = { key = account, dirty = {}, renewed = true, loweredUntil = tonumber(f[4]) }
readFactor(clock, tonumber(f[1]), tonumber(f[2] or 0))
if now - clock.factorAt >= ${CUT_PAUSE_US} then
  put(clock, 'factor', math.max(${FLOOR}, clock.factor * ${CUT}))
  put(clock, 'factorAt', now)
end
local hold = now + math.min(HOLD, math.floor(holdMs * 1000))
local theirs = tonumber(f[3] or 0)
if hold > theirs or theirs > now + HOLD then put(clock, 'hold', hold) end
save(clock)
`;
}

/** The `read` script. KEYS a clock. Replies with qps, factor, milliseconds it is stopped for, slots given, the lowered qps and its end (Unix ms), if any. */
export function readLua(source: TimeSource): string {
  return `local key = KEYS[1]
${source.now}
${CLOCK_FIELDS}
local f = redis.call('HMGET', key, 'qps', 'factor', 'factorAt', 'hold', 'given', 'lowered', 'loweredUntil')
local clock = { dirty = {} }
readFactor(clock, tonumber(f[2]), tonumber(f[3] or 0))
local hold = tonumber(f[4] or 0) - now
if hold < 0 or hold > HOLD then hold = 0 end
local lowered = loweredTo(tonumber(f[6]), tonumber(f[7] or 0))
if not f[1] and not lowered then return nil end
return { f[1] or '', tostring(clock.factor), math.ceil(hold / 1000), f[5] or '0', lowered and f[6] or '', lowered and string.format('%.0f', math.floor(f[7] / 1000)) or '' }
`;
}
