/** So many ends of a schedule are kept: what is behind them is fenced by the claim and by how far the schedule has come. */
export const MOST_ENDS = 1_000;

/**
 * Lua: ends an occurrence of a schedule, in the step that makes it so. A script that uses it declares the keys of `ScheduleKeys`.
 *
 *     if not mayEnd(claim, ends, id, holder) then ... end   -- another process has the schedule, or it has ended: change nothing
 *     endOccurrence(state, ends, order, end)
 */
export const OCCURRENCE_END = `local function mayEnd(claim, ends, id, holder)
  return redis.call('GET', claim) == holder and redis.call('HEXISTS', ends, id) == 0
end
local function endOccurrence(state, ends, order, occurrence)
  redis.call('HSET', ends, occurrence.id, cjson.encode(occurrence.entry))
  redis.call('LPUSH', order, occurrence.id)
  while redis.call('LLEN', order) > ${MOST_ENDS} do redis.call('HDEL', ends, redis.call('RPOP', order)) end
  -- One that an operator asked for is beside the timetable.
  if occurrence.isDue then redis.call('HSET', state, 'cursor', occurrence.id) end
  if occurrence.entry.batch then redis.call('HSET', state, 'batch', occurrence.entry.batch) end
  if occurrence.endedAt then redis.call('HSET', state, 'endedAt', occurrence.endedAt) end
  redis.call('HDEL', state, 'occurrence', 'claimedAt')
end`;
