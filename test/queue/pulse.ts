import type { Redis } from 'ioredis';
import {
  CALL_NOTES,
  notesRequest,
  readVerdict,
  type CallToNote,
  type CallVerdict,
} from '../../src/ledger/call-notes.ts';
import type { LedgerKeys } from '../../src/ledger/keys.ts';
import { script } from '../../src/runtime/redis/script.ts';
import { LONG_MS } from './world.ts';

/**
 * The ledger's part of the reserve script alone: there, a process has no slots for its first seconds, and a test would wait for them.
 * KEYS of the notes; ARGV request, slots, leaseMs. Replies { verdicts, calls that got a slot, end of the claims }.
 */
const NOTES = `${CALL_NOTES}
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local verdicts, callable, note = openCalls(cjson.decode(ARGV[1]), 1, nowMs, tonumber(ARGV[3]))
local served = {}
for at = 1, math.min(tonumber(ARGV[2]), #callable) do served[at] = callable[at] end
note(#served)
return { verdicts, served, string.format('%.0f', nowMs + ARGV[3]) }`;

const notesScript = script<[verdicts: string[], served: number[], claimEnd: string]>(NOTES);

/** What a pulse said of one call. */
export interface Asked {
  readonly verdict: CallVerdict;
  /** It has a slot, and is noted. */
  readonly isServed: boolean;
}

/** One pulse of a limiter that has so many slots at hand. @param back - noted before, and certainly not made */
export async function pulse(
  redis: Redis,
  keys: LedgerKeys,
  slots: number,
  calls: readonly CallToNote[],
  back: readonly CallToNote[],
): Promise<Asked[]> {
  const request = notesRequest(keys, calls, back);
  const [verdicts, served, claimEnd] = await notesScript(redis, request.keys, [request.json, slots, LONG_MS]);
  return calls.map(({ run }, at) => {
    const isServed = served.includes(at + 1);
    if (isServed && run.kind === 'claim') run.score = Number(claimEnd);
    return { verdict: readVerdict(verdicts[at] ?? ''), isServed };
  });
}
