import { randomUUID } from 'node:crypto';
import {
  CALL_NOTES,
  notesRequest,
  readVerdict,
  type CallToNote,
  type CallVerdict,
  type Run,
} from '../../src/ledger/call-notes.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { script } from '../../src/runtime/redis/script.ts';

/** What the limiter does with the notes of calls, without the slots: each call that may be made gets one. */
const noteScript = script<[verdicts: string[], claimEndMs: string]>(`${CALL_NOTES}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local verdicts, callable, note = openCalls(cjson.decode(ARGV[1]), 1, now, tonumber(ARGV[2]))
note(#callable)
return { verdicts, string.format('%.0f', now + ARGV[2]) }`);

const CLAIM_MS = 3_600_000;

type Place = Pick<Ledger, 'keys' | 'redis'>;

/** The ledger's verdicts on calls that are about to be made; those that may be are noted. */
export async function noteCalls(
  { redis, keys }: Place,
  calls: readonly CallToNote[],
  back: readonly CallToNote[] = [],
): Promise<CallVerdict[]> {
  const request = notesRequest(keys, calls, back);
  const [texts, claimEndMs] = await noteScript(redis, request.keys, [request.json, CLAIM_MS]);
  const verdicts = texts.map(readVerdict);
  for (const [at, { run }] of calls.entries()) {
    if (verdicts[at]?.kind === 'go' && run.kind === 'claim') run.score = Number(claimEndMs);
  }
  return verdicts;
}

/** A run of a job that a process has: it lives until its lock is deleted. */
export async function liveRun({ redis, keys }: Place): Promise<Extract<Run, { kind: 'job' }>> {
  const run = { kind: 'job', lockKey: `${keys.active}:${randomUUID()}:lock`, token: randomUUID() } as const;
  await redis.set(run.lockKey, run.token);
  return run;
}

/** A run notes a call of the item and dies with it. @returns what it was told before */
export async function dieCalling(place: Place, batch: string, n: number, instanceId: string): Promise<CallVerdict> {
  const run = await liveRun(place);
  const [verdict] = await noteCalls(place, [{ batch, n, instanceId, run }]);
  await place.redis.del(run.lockKey);
  return verdict ?? { kind: 'no-batch' };
}

/** What the run of each waiting item hears that is about to call: `untold` where one of the calls before may have worked. */
export async function nextCalls(
  place: Place,
  batch: string,
  instanceId: string,
  ordinals: readonly number[],
): Promise<string[]> {
  const heard: string[] = [];
  for (const n of ordinals) {
    const score = Number(await place.redis.zscore(place.keys.waiting(instanceId), `${batch} ${n}`));
    const run: Run = { kind: 'claim', name: `look-${n}`, score };
    const [verdict] = await noteCalls(place, [{ batch, n, instanceId, run }]);
    if (verdict?.kind === 'go') heard.push(verdict.attempt.effectUnknown ? 'untold' : 'none');
    else heard.push(verdict?.kind ?? '');
  }
  return heard;
}
