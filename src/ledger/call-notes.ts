import type { Attempt } from '../core/decide.ts';
import type { LedgerKeys } from './keys.ts';
import { ATTEMPTS, BITS } from './script-parts.lua.ts';

/** Who works on an item. A job's run is known by the job's lock, one without a job by the item's claim. */
export type Run =
  | { readonly kind: 'job'; readonly lockKey: string; readonly token: string }
  | { readonly kind: 'claim'; readonly name: string; score: number };

/** An item that needs a call. */
export interface CallToNote {
  readonly batch: string;
  readonly n: number;
  readonly instanceId: string;
  readonly run: Run;
  /** What this run knows of the item beyond the ledger, after a call of its own that must be repeated. */
  readonly attempt?: Attempt;
}

/**
 * What the ledger says of a call. `go`: it may be made; `attempt` is what lies behind the item. All others say why not: the item is settled; it
 * belongs to another run or waits for one (`left`, and `busy` where a live job holds a claimed item); the run has lost its job (`lock-lost`); the
 * item has crashed too many workers; its batch is paused, or cancelled, or gone.
 */
export type CallVerdict =
  | { readonly kind: 'go'; readonly attempt: Attempt }
  | { readonly kind: 'settled' | 'left' | 'busy' | 'lock-lost' | 'paused' | 'cancelled' | 'no-batch' }
  | { readonly kind: 'crashed'; readonly attempt: Attempt };

/** Runs of an item that may end without a report, in a crash, before it is given up. */
export const MAX_CRASHES = 20;

/** The name that stands in the notes of a run; no other run has it. */
export function runName(run: Run): string {
  return run.kind === 'job' ? `${run.lockKey} ${run.token}` : `~${run.name}`;
}

/**
 * Lua for the script that gives slots: says which calls may be made, and notes those that get a slot, so that the next run of an item knows after a
 * crash that one may have left.
 *
 * `openCalls(request, firstKey)` replies `{ verdicts, callable, note(count) }`, `callable` being indexes into the request's calls; `note` notes the
 * first `count` of them. The request has `runs` ({ lock, token, name }), `lanes` (the index of its first key: record, settled, attempts, waiting;
 * and its batch), `calls` ({ lane, n, run, score, attempt }, where lane 0 is a call of no item) and `back` ({ lane, n, run }: noted, and certainly not made).
 */
export const CALL_NOTES = `${ATTEMPTS}
${BITS}
local function takeBack(request, firstKey)
  for _, back in ipairs(request.back) do
    local attempts = KEYS[firstKey + request.lanes[back[1]][1] + 2]
    local a = parseAttempt(redis.call('HGET', attempts, back[2]))
    if a.run == request.runs[back[3]][3] then
      a.run = ''
      if isTrivial(a) then redis.call('HDEL', attempts, back[2]) else redis.call('HSET', attempts, back[2], attemptText(a)) end
    end
  end
end

local function openCalls(request, firstKey, nowMs, leaseMs)
  takeBack(request, firstKey)
  local verdicts, callable, isHeld, seen, ofLane = {}, {}, {}, {}, {}
  for at, run in ipairs(request.runs) do isHeld[at] = run[1] == '' or redis.call('GET', run[1]) == run[2] end
  for at, lane in ipairs(request.lanes) do ofLane[at] = {} end
  for at, call in ipairs(request.calls) do
    if call[1] > 0 then
      local list = ofLane[call[1]]
      list[#list + 1] = at
    else
      verdicts[at] = 'go'
    end
  end
  for lane, list in ipairs(ofLane) do
    if #list > 0 then
      local first, batch = firstKey + request.lanes[lane][1], request.lanes[lane][2]
      local state = redis.call('HGET', KEYS[first], 'state')
      local ordinals, members, taken = {}, {}, {}
      for at, index in ipairs(list) do
        ordinals[at] = request.calls[index][2]
        members[at] = batch .. ' ' .. request.calls[index][2]
      end
      local bits = bitsOf(KEYS[first + 1], ordinals)
      local texts = redis.call('HMGET', KEYS[first + 2], unpack(ordinals))
      local scores = redis.call('ZMSCORE', KEYS[first + 3], unpack(members))
      for at, index in ipairs(list) do
        local call = request.calls[index]
        local run = request.runs[call[3]]
        local isClaim = run[1] == ''
        local a = parseAttempt(texts[at])
        local verdict = 'go'
        -- A claim whose end was moved by a note of its own, in a reply that was lost, is still its run's.
        if not state then verdict = 'no-batch'
        elseif bits[at] == 1 then verdict = 'settled'
        elseif not isHeld[call[3]] then verdict = 'lock-lost'
        elseif isClaim and (not scores[at] or tonumber(scores[at]) ~= call[4] and a.run ~= run[3]) then verdict = 'left'
        elseif not isClaim and scores[at] then verdict = 'left'
        elseif a.run ~= '' and a.run ~= run[3] then
          if isLive(a.run) then verdict = isClaim and 'busy' or 'left' else assumeCrashed(a) end
        end
        -- Two jobs of one item in one step: the second is told what it would be told after the first.
        if verdict == 'go' and taken[call[2]] then verdict = 'left' end
        if isClaim and (verdict == 'settled' or verdict == 'no-batch') then redis.call('ZREM', KEYS[first + 3], members[at]) end
        if verdict == 'go' then
          if call[5] and a.run == run[3] then
            local own = parseAttempt(call[5])
            a.failures, a.calls, a.unknown = own.failures, own.calls, a.unknown or own.unknown
          end
          if state == 'paused' then verdict = 'paused'
          elseif state == 'cancelled' and not a.unknown then verdict = 'cancelled'
          elseif a.crashes >= ${MAX_CRASHES} then verdict = string.format('crashed %d %d %d', a.failures, a.calls, a.unknown and 1 or 0)
          else
            verdict = (a.failures == 0 and a.calls == 0 and not a.unknown) and 'go' or string.format('go %d %d %d', a.failures, a.calls, a.unknown and 1 or 0)
            a.run = run[3]
            taken[call[2]] = true
            seen[index] = { first, call[2], attemptText(a), isClaim and members[at] }
          end
        end
        verdicts[index] = verdict
      end
    end
  end
  for at in ipairs(request.calls) do if string.sub(verdicts[at], 1, 2) == 'go' then callable[#callable + 1] = at end end
  local function note(count)
    local sets, claims = {}, {}
    for at = 1, count do
      local noted = seen[callable[at]]
      if noted then
        sets[noted[1]] = sets[noted[1]] or {}
        local set = sets[noted[1]]
        set[#set + 1] = noted[2]
        set[#set + 1] = noted[3]
        if noted[4] then
          claims[noted[1]] = claims[noted[1]] or {}
          local claim = claims[noted[1]]
          claim[#claim + 1] = nowMs + leaseMs
          claim[#claim + 1] = noted[4]
        end
      end
    end
    for first, set in pairs(sets) do redis.call('HSET', KEYS[first + 2], unpack(set)) end
    for first, claim in pairs(claims) do redis.call('ZADD', KEYS[first + 3], 'XX', unpack(claim)) end
  end
  return verdicts, callable, note
end`;

/** The request of `CALL_NOTES`, and the keys that go with it. */
export interface NotesRequest {
  readonly keys: readonly string[];
  readonly json: string;
}

/** @param back - noted earlier, or perhaps, and certainly not made */
export function notesRequest(
  keys: LedgerKeys,
  calls: readonly (CallToNote | undefined)[],
  back: readonly CallToNote[],
): NotesRequest {
  const lanes = new Map<string, number>();
  const laneRows: [number, string][] = [];
  const runs = new Map<string, number>();
  const runRows: string[][] = [];
  const allKeys: string[] = [];
  const laneOf = ({ batch, instanceId }: CallToNote): number => {
    const name = `${batch} ${instanceId}`;
    const known = lanes.get(name);
    if (known !== undefined) return known;
    const of = keys.of(batch);
    laneRows.push([allKeys.length, batch]);
    allKeys.push(of.record, of.settled, of.attempts, keys.waiting(instanceId));
    lanes.set(name, laneRows.length);
    return laneRows.length;
  };
  const runOf = ({ run }: CallToNote): number => {
    const name = runName(run);
    const known = runs.get(name);
    if (known !== undefined) return known;
    runRows.push(run.kind === 'job' ? [run.lockKey, run.token, name] : ['', '', name]);
    runs.set(name, runRows.length);
    return runRows.length;
  };
  const callRows = calls.map((call) =>
    call === undefined
      ? [0, 0, 0, 0]
      : [laneOf(call), call.n, runOf(call), call.run.kind === 'claim' ? call.run.score : 0, ...attemptOf(call)],
  );
  // A run that has called before keeps its note until it tells how that ended.
  const unmade = back.filter(({ attempt }) => attempt === undefined);
  const backRows = unmade.map((call) => [laneOf(call), call.n, runOf(call)]);
  return { keys: allKeys, json: JSON.stringify({ runs: runRows, lanes: laneRows, calls: callRows, back: backRows }) };
}

/** As the ledger writes it. */
function attemptOf({ attempt }: CallToNote): readonly string[] {
  if (attempt === undefined) return [];
  return [`${attempt.failures} ${attempt.calls} ${attempt.effectUnknown ? 1 : 0} 0 `];
}

/** Reads one verdict of `CALL_NOTES`. */
export function readVerdict(text: string): CallVerdict {
  const [kind = '', failures = '0', calls = '0', unknown = '0'] = text.split(' ');
  switch (kind) {
    case 'go':
    case 'crashed':
      return {
        kind,
        attempt: { failures: Number(failures), calls: Number(calls), effectUnknown: unknown === '1' },
      };
    case 'settled':
    case 'left':
    case 'busy':
    case 'lock-lost':
    case 'paused':
    case 'cancelled':
    case 'no-batch':
      return { kind };
    default:
      throw new Error(`the ledger answered ${text} to a call that was to be noted`);
  }
}
