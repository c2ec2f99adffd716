import { setTimeout as delay } from 'node:timers/promises';
import type { Certificate } from '../../src/core/certificate.ts';
import { EGRESSES, type Rig, type RigWorker } from '../support/rig.ts';

/** A fault, what the product promises under it, and how it is brought about. */
export interface Scenario {
  readonly name: string;
  readonly promise: string;
  /** Items; enough for some seconds of work at the pace. The short selection takes fewer. */
  readonly items: number;
  /** Faults of the endpoint, as in a plan file. */
  readonly plan?: object;
  /** Redis forgets what it acknowledged: then less is promised. */
  readonly isLossy?: boolean;
  /** Starts workers and disturbs them. The batch is submitted by then. @returns the batch to judge, where it is another one */
  disturb(rig: Rig, batch: string, items: readonly Certificate[]): Promise<string | void>;
}

/** Both source addresses, one worker each. */
async function startTwo(rig: Rig, options: Parameters<Rig['startWorker']>[0] = {}): Promise<RigWorker[]> {
  return Promise.all(EGRESSES.map((egress) => rig.startWorker({ egress, ...options })));
}

/** Waits until at most such a share of the batch is pending. */
const progress = (rig: Rig, batch: string, pendingShare: number): Promise<unknown> =>
  rig.until(batch, ({ pending, accepted }) => pending <= accepted * pendingShare);

/** Kills with -9 and starts another in its place, so many times, as long as there is work. */
async function killInALoop(rig: Rig, batch: string, times: number): Promise<void> {
  let [victim, other] = await startTwo(rig);
  await progress(rig, batch, 0.8);
  for (let round = 0; round < times; round += 1) {
    const before = await rig.status(batch);
    if (before === undefined || before.pending === 0) return;
    victim?.kill('SIGKILL');
    await victim?.ended;
    const next = await rig.startWorker({ egress: victim?.egress ?? EGRESSES[0] });
    [victim, other] = [other, next];
    await progress(rig, batch, Math.max(0, before.pending / before.accepted - 0.06));
  }
}

/** Each way in which the endpoint can answer badly, met by some of the devices. */
const EVERY_ANSWER = [
  { kind: 'code', code: 'ServiceUnavailable', share: 0.02, times: 2 },
  { kind: 'code', code: 'InternalError', share: 0.02 },
  { kind: 'code', code: 'GetCaNumError', share: 0.02 },
  { kind: 'code', code: 'SignatureNonceUsed', share: 0.02 },
  { kind: 'code', code: 'SystemOverFlow', share: 0.01 },
  { kind: 'code', code: 'ParameterFieldCheckFailed', share: 0.005, times: 'always' },
  { kind: 'code', code: 'FindCaBySnError', share: 0.005, times: 'always' },
  { kind: 'code', code: 'NeverHeardOf', share: 0.005, times: 'always' },
  { kind: 'html', share: 0.02 },
  { kind: 'empty', share: 0.02 },
  { kind: 'no-code', share: 0.02 },
  { kind: 'empty-object', share: 0.02 },
  { kind: 'wrong-echo', share: 0.02 },
  { kind: 'reset-before', share: 0.02 },
  { kind: 'reset-after', share: 0.02 },
  { kind: 'answer-lost-after', share: 0.02 },
  { kind: 'throttle', share: 0.005 },
  { kind: 'throttle', share: 0.005, retryAfterMs: 300 },
];

const PROMISE = 'every item in exactly one outcome, revoked is what was deleted, never over a cap';

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'calm',
    promise: PROMISE,
    items: 2_000,
    async disturb(rig) {
      await startTwo(rig);
    },
  },
  {
    name: 'kill -9 of workers in a loop',
    promise: PROMISE,
    items: 2_500,
    disturb: (rig, batch) => killInALoop(rig, batch, 5),
  },
  {
    name: 'SIGSTOP of a worker beyond its lock',
    promise: `${PROMISE}; its jobs are taken up by another worker, and what it does when it wakes changes nothing`,
    items: 3_000,
    async disturb(rig, batch) {
      const [sleeper] = await startTwo(rig);
      await progress(rig, batch, 0.85);
      if (sleeper === undefined) return;
      process.kill(sleeper.pid, 'SIGSTOP');
      await delay(9_000);
      process.kill(sleeper.pid, 'SIGCONT');
    },
  },
  {
    name: 'event loops stalled for 500 ms every two seconds',
    promise: PROMISE,
    items: 2_500,
    async disturb(rig) {
      await startTwo(rig, { node: ['stall.mjs'] });
    },
  },
  ...([2_000, -2_000] as const).map((shiftMs): Scenario => ({
    name: `the wall clock of a worker jumps by ${shiftMs} ms`,
    promise: PROMISE,
    items: 2_000,
    async disturb(rig) {
      await rig.startWorker({
        egress: EGRESSES[0],
        node: ['clock-shift.mjs'],
        env: { CLOCK_SHIFT_MS: String(shiftMs) },
      });
      await rig.startWorker({ egress: EGRESSES[1] });
    },
  })),
  {
    name: 'kill -9 of Redis, restarted on its append-only file (always)',
    promise: PROMISE,
    items: 2_500,
    async disturb(rig, batch) {
      await startTwo(rig);
      for (const share of [0.8, 0.4]) {
        await progress(rig, batch, share);
        process.kill(rig.server.serverPid(), 'SIGKILL');
        await rig.server.restart();
      }
    },
  },
  {
    name: 'Redis loses everything',
    promise:
      'what was deleted is of the manifest; the same manifest submitted again ends every item, those that were done as already gone',
    items: 2_000,
    isLossy: true,
    async disturb(rig, batch, items) {
      await startTwo(rig);
      await progress(rig, batch, 0.6);
      await rig.direct.flushall();
      return rig.submit(items);
    },
  },
  {
    name: 'Redis read-only for two seconds',
    promise: PROMISE,
    items: 2_500,
    async disturb(rig, batch) {
      await startTwo(rig);
      await progress(rig, batch, 0.75);
      await rig.direct.config('SET', 'min-replicas-to-write', '1');
      await delay(2_000);
      await rig.direct.config('SET', 'min-replicas-to-write', '0');
    },
  },
  {
    name: 'Redis out of memory for two seconds',
    promise: PROMISE,
    items: 2_500,
    async disturb(rig, batch) {
      await startTwo(rig);
      await progress(rig, batch, 0.75);
      await rig.direct.config('SET', 'maxmemory', '1mb');
      await delay(2_000);
      await rig.direct.config('SET', 'maxmemory', '0');
    },
  },
  {
    name: 'a Redis that is 40 ms away',
    promise: `${PROMISE}; with the default lateMs of 25 no slot comes in time, so the worker waits; near again, it goes on`,
    items: 1_500,
    async disturb(rig, batch) {
      await startTwo(rig);
      await progress(rig, batch, 0.67);
      rig.proxy.delayMs = 40;
      await delay(3_000);
      rig.proxy.delayMs = 2;
    },
  },
  {
    name: 'connections to Redis cut again and again, then swallowed for a while',
    promise: PROMISE,
    items: 2_500,
    async disturb(rig, batch) {
      await startTwo(rig);
      for (const share of [0.9, 0.7, 0.5]) {
        await progress(rig, batch, share);
        rig.proxy.cut();
      }
      rig.proxy.swallow = true;
      await delay(3_000);
      rig.proxy.swallow = false;
      // What was swallowed is not sent again on these connections.
      rig.proxy.cut();
    },
  },
  {
    name: 'Redis unreachable for longer than the lock',
    promise: `${PROMISE}; no slots, no calls; every job in hand runs again`,
    items: 2_000,
    async disturb(rig, batch) {
      await startTwo(rig);
      await progress(rig, batch, 0.75);
      rig.proxy.down = true;
      await delay(8_000);
      rig.proxy.down = false;
    },
  },
  {
    name: 'every bad answer of the table, lost answers, HTML, resets, throttling',
    promise: PROMISE,
    items: 2_000,
    plan: { seed: 7, faults: EVERY_ANSWER },
    async disturb(rig, batch) {
      await startTwo(rig);
      // Some of these faults are many, and by design a batch with many dead items pauses itself; an operator goes on.
      await rig.until(batch, ({ pending, state }) => pending === 0 || state === 'paused');
      if ((await rig.status(batch))?.state === 'paused') await rig.run(['resume', batch]);
    },
  },
  {
    name: 'an endpoint that accepts and never answers',
    promise: `${PROMISE}; each such call ends at its deadline`,
    items: 1_000,
    plan: { seed: 3, faults: [{ kind: 'hang', share: 0.03 }] },
    async disturb(rig) {
      await startTwo(rig, { settings: { callDeadlineMs: 1_000 } });
    },
  },
  {
    name: 'workers join and leave',
    promise: PROMISE,
    items: 3_000,
    async disturb(rig, batch) {
      const [first] = await startTwo(rig);
      await progress(rig, batch, 0.85);
      const more = await Promise.all([rig.startWorker(), rig.startWorker({ egress: EGRESSES[1] })]);
      await progress(rig, batch, 0.55);
      first?.kill('SIGTERM');
      await first?.ended;
      await progress(rig, batch, 0.3);
      more[0]?.kill('SIGTERM');
      await more[0]?.ended;
    },
  },
  {
    name: 'the pace is lowered during a run, process by process',
    promise: `${PROMISE}; while both are configured the stricter one holds`,
    items: 2_000,
    async disturb(rig, batch) {
      const [first, second] = await startTwo(rig);
      await progress(rig, batch, 0.75);
      for (const old of [first, second]) {
        await rig.startWorker({ egress: old?.egress ?? EGRESSES[0], settings: { limiter: { lateMs: 50 } } });
        old?.kill('SIGTERM');
        await old?.ended;
      }
    },
  },
  {
    name: 'dead letters retried during the run',
    promise: `${PROMISE}; a retried letter has one outcome, its last`,
    items: 2_000,
    plan: { seed: 5, faults: [{ kind: 'code', code: 'ParameterCheckFailed', share: 0.02 }] },
    async disturb(rig, batch) {
      await startTwo(rig);
      await rig.until(batch, ({ dead, pending }) => dead > 5 || pending === 0);
      await rig.run(['dead', 'retry', '--batch', batch]);
      await progress(rig, batch, 0.25);
      await rig.run(['dead', 'retry', '--batch', batch]);
    },
  },
  {
    name: 'a batch is paused and resumed while it runs',
    promise: `${PROMISE}; no call begins while it is paused`,
    items: 2_000,
    async disturb(rig, batch) {
      await startTwo(rig);
      await progress(rig, batch, 0.75);
      await rig.run(['pause', batch]);
      await delay(1_500);
      await rig.run(['resume', batch]);
    },
  },
];
