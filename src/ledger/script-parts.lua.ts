import { COUNTED, TRANSITIONS, type BatchEvent } from '../core/batch.ts';
import { CLOCK } from '../runtime/redis/script.ts';

/*
 * The ledger's scripts are each one atomic step on the keys of one batch; between two of them the identity
 * `accepted` is the sum of all outcomes and of what is pending. They read the clock of Redis only. What several of them do stands here.
 */

/** Lua: `stateAfter(event, state)`, or nil where the event has no place. Written from core's table, so that there is one table. */
export const STATES = `local function stateAfter(event, state)
  return cjson.decode('${JSON.stringify(movesByEvent())}')[event][state or '']
end`;

/**
 * Lua: `pendingOf(record, ...)` reads how many items were accepted, how many of them pend, and the fields that are named. `COUNTED` names all counts,
 * `accepted` the first.
 */
export const COUNTS = `local COUNTED = { ${COUNTED.map((field) => `'${field}'`).join(', ')} }
local function pendingOf(record, ...)
  local found = redis.call('HMGET', record, ${COUNTED.map((field) => `'${field}'`).join(', ')}, ...)
  local pending = found[1] or 0
  for at = 2, #COUNTED do pending = pending - (found[at] or 0) end
  return tonumber(found[1] or 0), pending, unpack(found, #COUNTED + 1, #COUNTED + select('#', ...))
end`;

/**
 * Lua, with all that it needs: closes a batch that has nothing pending. A direct batch, which has no fingerprint, goes on for ever: paused, it stays
 * so until it is resumed, or the next job would be called for.
 */
export const DRAIN = `${STATES}
${COUNTS}
${CLOCK}
local function drain(record, active, fingerprints, batch)
  local _, pending, state, print = pendingOf(record, 'state', 'fingerprint')
  if pending > 0 then return 'settled' end
  redis.call('ZREM', active, batch)
  if state == 'paused' and not print then return 'settled' end
  redis.call('HSET', record, 'state', stateAfter('drain', state) or state, 'completedAt', clockMs())
  if print and redis.call('HGET', fingerprints, print) == batch then redis.call('HDEL', fingerprints, print) end
  return 'drained'
end`;

/** Between two ranks in the order in which batches are fed; behind it stands a time, in milliseconds. */
export const RANK_STEP = 1e13;

/** Lua: the score of a batch among the active ones: the lower the rank, the sooner it is fed, and then by age. */
export const FEED_ORDER = `local function feedOrder(rank, now) return rank * ${RANK_STEP} + now end`;

/**
 * Lua: an item's attempt record, the one place that tells what an item has been through, as
 * `<failures> <calls> <effect unknown> <crashes> <run>`. `run` has noted a call and not yet told how it ended; empty where none has.
 * A job's run is `<key of its lock> <token>`, and lives while the lock holds that token; a run without a job is one word, and lives for as long as
 * its claim, which its reader checks.
 */
export const ATTEMPTS = `local function parseAttempt(text)
  local failures, calls, unknown, crashes, run = string.match(text or '', '^(%d+) (%d+) ([01]) (%d+) (.*)$')
  return { failures = tonumber(failures or 0), calls = tonumber(calls or 0), unknown = unknown == '1', crashes = tonumber(crashes or 0), run = run or '' }
end
local function attemptText(a)
  return string.format('%d %d %d %d %s', a.failures, a.calls, a.unknown and 1 or 0, a.crashes, a.run)
end
-- Nothing is known but that a call may have worked.
local EFFECT_UNKNOWN = '0 0 1 0 '
local function isTrivial(a)
  return a.failures == 0 and a.calls == 0 and not a.unknown and a.crashes == 0 and a.run == ''
end
local function isLive(run)
  local lock, token = string.match(run, '^(.+) (%S+)$')
  return lock ~= nil and redis.call('GET', lock) == token
end
-- A run that has ended without a report may have called.
local function assumeCrashed(a)
  a.unknown, a.crashes, a.run = true, a.crashes + 1, ''
end`;

/** Lua: `bitsOf` reads bits of a bitmap, one command for all; `addBit` adds one to the arguments of a command that sets them. */
export const BITS = `local function bitsOf(key, ordinals)
  local args = {}
  for _, n in ipairs(ordinals) do
    args[#args + 1] = 'GET'
    args[#args + 1] = 'u1'
    args[#args + 1] = n
  end
  return redis.call('BITFIELD_RO', key, unpack(args))
end
local function addBit(args, n)
  local at = #args
  args[at + 1], args[at + 2], args[at + 3], args[at + 4] = 'SET', 'u1', n, 1
end`;

/** Lua: the deaths of a dead letter, its own the last. Versions before layout 3 wrote `attempts` for `calls`. */
export const DEATHS = `local function deathsOf(letter)
  local deaths = letter.history
  deaths[#deaths + 1] = { code = letter.code, message = letter.message, requestId = letter.requestId, calls = letter.calls or letter.attempts, at = letter.at }
  return deaths
end`;

function movesByEvent(): Record<BatchEvent, Record<string, string>> {
  const moves: Record<BatchEvent, Record<string, string>> = {
    activate: {},
    pause: {},
    resume: {},
    cancel: {},
    drain: {},
    reopen: {},
  };
  for (const [state, row] of Object.entries(TRANSITIONS)) {
    for (const [event, after] of Object.entries(row)) moves[event as BatchEvent][state] = after;
  }
  return moves;
}

/** The lines of a Lua table. */
export function luaTable(of: Readonly<Record<string, string | true>>): string {
  return Object.entries(of)
    .map(([name, value]) => `['${name}'] = ${value === true ? 'true' : `'${value}'`}`)
    .join(', ');
}
