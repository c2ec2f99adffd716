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
 * Lua: what the ledger has noted of calls of an item, see `Noted` in core. In a batch that began before layout 2, a call may be noted without the
 * name of its run: the record of such a job tells of it as `unnamed`.
 */
export const NOTED = `local function noted(layout, notes, departed, n, run, told)
  local note = redis.call('HGET', notes, n) or (not layout and redis.call('GETBIT', departed, n) == 1 and 'unnamed')
  if not note then return 'none' end
  return (note == run or note == told) and 'told' or 'untold'
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
