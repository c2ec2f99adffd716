import { TRANSITIONS, type BatchEvent } from '../core/batch.ts';

/*
 * The ledger's scripts are each one atomic step on the keys of one batch; between two of them the identity
 * `accepted = revoked + already-gone + dead + cancelled + pending` holds. They read the clock of Redis only. What several of them do stands here.
 */

/** Lua: `moves[event][state]` is the state after it. Written from core's table, so that there is one table. */
export const MOVES = `local moves = cjson.decode('${JSON.stringify(movesByEvent())}')`;

export const CLOCK = `local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

/**
 * Lua: closes a batch that has nothing pending. A standing batch, which has no fingerprint, goes on for ever: paused, it stays so until it is
 * resumed, or the next job would be called for.
 */
export const DRAIN = `local function drain(record, active, fingerprints, batch)
  local f = redis.call('HMGET', record, 'accepted', 'revoked', 'alreadyGone', 'dead', 'cancelled', 'state', 'fingerprint')
  local pending = f[1] - (f[2] or 0) - (f[3] or 0) - (f[4] or 0) - (f[5] or 0)
  if pending > 0 then return 'settled' end
  ${MOVES}
  ${CLOCK}
  redis.call('ZREM', active, batch)
  if f[6] == 'paused' and not f[7] then return 'settled' end
  redis.call('HSET', record, 'state', moves.drain[f[6]] or f[6], 'completedAt', now)
  if f[7] and redis.call('HGET', fingerprints, f[7]) == batch then redis.call('HDEL', fingerprints, f[7]) end
  return 'drained'
end`;

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
local function isTrivial(a)
  return a.failures == 0 and a.calls == 0 and not a.unknown and a.crashes == 0 and a.run == ''
end
local function isLive(run)
  local lock, token = string.match(run, '^(.+) (%S+)$')
  return lock ~= nil and redis.call('GET', lock) == token
end
-- A run that has ended without a word may have called.
local function assumeCrashed(a)
  a.unknown, a.crashes, a.run = true, a.crashes + 1, ''
end`;

/** Lua: the bits of a bitmap, one command for all. */
export const BITS = `local function bitsOf(key, ordinals)
  local args = {}
  for _, n in ipairs(ordinals) do
    args[#args + 1] = 'GET'
    args[#args + 1] = 'u1'
    args[#args + 1] = n
  end
  return redis.call('BITFIELD_RO', key, unpack(args))
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
