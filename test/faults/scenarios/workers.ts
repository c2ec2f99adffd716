import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { worstWindow } from '../../../src/core/pace.ts';
import { EGRESSES, type Rig, type RigWorker } from '../../support/rig.ts';
import { progress, PROMISE, SLOTS_END_WITHIN_MS, startTwo, UNHURRIED, type Scenario } from '../scenario.ts';

/** Half of the rig's pace of an account. */
const LOWERED_QPS = 200;

/** Kills with -9 and starts another in its place, so many times, as long as there is work. */
async function killInALoop(rig: Rig, batch: string, times: number): Promise<void> {
  let [victim, other] = await startTwo(rig);
  let kills = 0;
  await progress(rig, batch, 0.8);
  for (let round = 0; round < times; round += 1) {
    const before = await rig.status(batch);
    if (before === undefined || before.pending === 0) break;
    victim?.kill('SIGKILL');
    await victim?.ended;
    kills += 1;
    const next = await rig.startWorker({ egress: victim?.egress ?? EGRESSES[0] });
    [victim, other] = [other, next];
    await progress(rig, batch, Math.max(0, before.pending / before.accepted - 0.06));
  }
  expect(kills, 'workers killed while there was work').toBeGreaterThanOrEqual(2);
}

/** Nothing fails, or what fails is a worker, its host or its clock. */
export const WORKERS: readonly Scenario[] = [
  {
    name: 'calm',
    promise: PROMISE,
    items: 2_000,
    async disturb(rig) {
      await startTwo(rig);
    },
  },
  {
    name: 'calm, and unhurried',
    promise: `${PROMISE}; the pace is used`,
    items: 500,
    ...UNHURRIED,
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
    promise: `${PROMISE}; the pace is used`,
    items: 500,
    ...UNHURRIED,
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
    name: 'workers join and leave',
    promise: `${PROMISE}; the pace is used`,
    items: 800,
    ...UNHURRIED,
    async disturb(rig, batch) {
      const [first] = await startTwo(rig);
      await progress(rig, batch, 0.85);
      const more = await Promise.all([rig.startWorker(), rig.startWorker({ egress: EGRESSES[1] })]);
      await progress(rig, batch, 0.55);
      first?.kill('SIGTERM');
      await first?.ended;
      await progress(rig, batch, 0.3);
      more[1]?.kill('SIGTERM');
      await more[1]?.ended;
    },
  },
  {
    name: 'the pace is lowered during a run, process by process',
    promise: `${PROMISE}; while both are configured the stricter one holds`,
    items: 2_000,
    async disturb(rig, batch) {
      const old = await startTwo(rig);
      await progress(rig, batch, 0.75);
      const strict: RigWorker[] = [];
      for (const worker of old) {
        strict.push(await rig.startWorker({ egress: worker.egress, accountQps: LOWERED_QPS }));
        worker.kill('SIGTERM');
        await worker.ended;
      }
      await progress(rig, batch, 0);
      const strictFromMs = Math.min(...((await strict[0]?.sends()) ?? [])) + SLOTS_END_WITHIN_MS;
      const { senders } = await rig.pace();
      const sent = senders.flatMap(({ sendsMs }) => sendsMs.filter((time) => time >= strictFromMs));
      expect(sent.length, 'calls since the first worker had the lower pace').toBeGreaterThan(2 * LOWERED_QPS);
      expect(worstWindow(sent), 'calls sent in the worst second since').toBeLessThanOrEqual(LOWERED_QPS);
    },
  },
];
