import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Answer } from '../../../src/core/answer.ts';
import {
  CALL_NOTES,
  notesRequest,
  readVerdict,
  type CallToNote,
  type CallVerdict,
} from '../../../src/ledger/call-notes.ts';
import type { Limiter } from '../../../src/limiter/contract.ts';
import { readHalts } from '../../../src/limiter/halts/halt-store.ts';
import { openLimiter } from '../../../src/limiter/limiter.ts';
import type { Disposition, Item } from '../../../src/queue/process/item.ts';
import { createProcessor, type Pacer } from '../../../src/queue/process/processor.ts';
import { certificatesOf, FeedStage } from '../feed/feed-stage.ts';
import { liveRun } from '../note-calls.ts';
import { HEALTHY } from '../hand.ts';

const QPS = 1_000;
const PROBE_INTERVAL_MS = 60_000;
const WITHIN = { timeout: 60_000, interval: 10 };

const notMade = (): Promise<never> => Promise.reject(new Error('no such call is expected'));
const NO_OTHER_CALLS = {
  inactivateDeviceCertificate: notMade,
  activateDeviceCertificate: notMade,
  getDeviceCertificate: notMade,
};

let stage: FeedStage;
let limiter: Limiter<CallToNote, CallVerdict>;
let item: Item;
beforeEach(async () => {
  stage = new FeedStage();
  const [certificate] = certificatesOf(1);
  if (certificate === undefined) throw new Error('there is no certificate');
  const batch = await stage.batchOf([certificate]);
  item = { batch, n: 0, action: 'delete', certificate, isUrgent: false, run: await liveRun(stage.ledger) };
  const options = { redis: stage.connection, prefix: stage.keys.prefix, lateMs: 200 };
  limiter = openLimiter(
    {
      ...options,
      account: { name: 'fleet', qps: QPS },
      egress: { id: 'here', qps: QPS },
      probeIntervalMs: PROBE_INTERVAL_MS,
    },
    {
      lua: CALL_NOTES,
      claimMs: 15_000,
      request: (calls, back) => notesRequest(stage.ledger.keys, calls, back),
      read: readVerdict,
      noted: () => undefined,
    },
  );
  await limiter.halt('account', certificate.instanceId, 'Forbidden.RAM', 'no permission');
  // The first probe is due.
  await stage.redis.hset(`${stage.keys.prefix}:probes`, '["fleet"]', 0);
  await stage.redis.incr(stage.ledger.keys.signals);
  await vi.waitFor(() => {
    if (limiter.admits(certificate.instanceId) !== 'probe') throw new Error('no probe is due yet');
  }, WITHIN);
});
afterEach(async () => {
  await limiter.close();
  await stage.close();
});

const refused = (code: string): Answer => ({ kind: 'refused', status: 400, code, message: code, requestId: 'R' });
const ACCEPTED: Answer = { kind: 'accepted', requestId: 'R' };

/** Has the item processed, with these answers. */
function process(
  answers: readonly Answer[],
  pacer: Pacer = limiter,
): { calls: () => number; end: Promise<Disposition> } {
  let calls = 0;
  const processor = createProcessor({
    pacer,
    host: HEALTHY,
    client: {
      ...NO_OTHER_CALLS,
      deleteDeviceCertificate: () => {
        calls += 1;
        return Promise.resolve(answers[calls - 1] ?? ACCEPTED);
      },
    },
    gate: { pass: () => Promise.reject(new Error('nothing retires')) },
    refreshCredentials: () => undefined,
    policy: { attempts: 3, notFound: 'already-gone', baseMs: 1, capMs: 5 },
    random: () => 0.5,
    tell: () => undefined,
  });
  return { calls: () => calls, end: processor(item) };
}

/** Somebody may probe at once; else only when the interval is over. */
const isDue = async (): Promise<boolean> => {
  const [halt] = await readHalts(stage.redis, stage.keys.prefix);
  return halt !== undefined && halt.nextProbeAt <= Date.now();
};

it.each(['paused', 'cancelled'] as const)(
  'is given back where the batch is %s when it gets its slot',
  async (state) => {
    await stage.ledger.batches.change(item.batch, state === 'paused' ? 'pause' : 'cancel');
    const { calls, end } = process([]);
    expect((await end).kind).toBe(state === 'paused' ? 'wait' : 'settled');
    expect(calls()).toBe(0);
    await expect.poll(isDue, WITHIN).toBe(true);
  },
);

it('is given back where its job has gone to another process', async () => {
  if (item.run.kind === 'job') await stage.redis.del(item.run.lockKey);
  const { calls, end } = process([]);
  expect(await end).toEqual({ kind: 'abandon' });
  expect(calls()).toBe(0);
  await expect.poll(isDue, WITHIN).toBe(true);
});

it('is given back where this host has stopped while it waited for its slot', async () => {
  let isHalted = false;
  const pacer: Pacer = {
    take: async (request) => {
      const grant = await limiter.take(request);
      isHalted = true;
      return grant;
    },
  };
  const processor = createProcessor({
    pacer,
    host: {
      ...HEALTHY,
      get isHalted() {
        return isHalted;
      },
    },
    client: { ...NO_OTHER_CALLS, deleteDeviceCertificate: () => Promise.reject(new Error('called')) },
    gate: { pass: () => Promise.reject(new Error('nothing retires')) },
    refreshCredentials: () => undefined,
    policy: { attempts: 3, notFound: 'already-gone', baseMs: 1, capMs: 5 },
    random: () => 0.5,
    tell: () => undefined,
  });
  expect((await processor(item)).kind).toBe('release');
  await expect.poll(isDue, WITHIN).toBe(true);
});

it.each<[string, Answer]>([
  ['a void slot', { kind: 'not-sent', reason: 'slot-void', message: 'late' }],
  ['an old token', refused('InvalidSecurityToken.Expired')],
  ['a nonce', refused('SignatureNonceUsed')],
])('is made again at once where it ended in %s', async (_, answer) => {
  const { calls, end } = process([answer]);
  expect(await end).toMatchObject({ kind: 'settled', outcome: 'revoked' });
  expect(calls()).toBe(2);
  expect(await readHalts(stage.redis, stage.keys.prefix)).toEqual([]);
});

it.each<[string, Answer]>([
  ['a service that is busy', refused('ServiceUnavailable')],
  ['throttling', refused('Throttling.User')],
  ['a lost answer', { kind: 'network', code: 'ECONNRESET', message: 'reset', effect: 'unknown' }],
  ['a host that cannot be reached', { kind: 'network', code: 'ECONNREFUSED', message: 'refused', effect: 'none' }],
])('is spent where it ended in %s', async (_, answer) => {
  const { calls, end } = process([answer]);
  expect((await end).kind).toBe('wait');
  expect(calls()).toBe(1);
  expect(await isDue()).toBe(false);
  expect(await readHalts(stage.redis, stage.keys.prefix)).toHaveLength(1);
});
