import { setTimeout as delay } from 'node:timers/promises';
import { EGRESSES, type Rig } from '../../support/rig.ts';
import { progress, PROMISE, startTwo, UNHURRIED, type Scenario } from '../scenario.ts';

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
      const [first, second] = await startTwo(rig);
      await progress(rig, batch, 0.75);
      for (const old of [first, second]) {
        await rig.startWorker({ egress: old?.egress ?? EGRESSES[0], settings: { limiter: { lateMs: 50 } } });
        old?.kill('SIGTERM');
        await old?.ended;
      }
    },
  },
];
