import { setTimeout as delay } from 'node:timers/promises';
import { describe, it } from 'vitest';
import { pickOne, seededRandom, type Random } from '../../../src/sandbox/seeded.ts';
import { certificates } from '../../support/fleet.ts';
import { expectEffects, expectNothingLost, expectSecrecy } from '../../support/oracles.ts';
import { expectNeverOver } from '../../support/pace-oracle.ts';
import { EGRESSES, openRig, type Rig, type RigWorker } from '../../support/rig.ts';

/** The same seed brings the same faults in the same order; another one is another soak. */
const SEED = Number(process.env['FAULTS_SEED'] ?? 20261124);
const DISTURBANCES = Number(process.env['FAULTS_COUNT'] ?? 12);
const ITEMS = 6_000;

const PLAN = {
  seed: SEED,
  faults: [
    { kind: 'code', code: 'InternalError', share: 0.02 },
    { kind: 'html', share: 0.01 },
    { kind: 'reset-after', share: 0.01 },
    { kind: 'answer-lost-after', share: 0.01 },
    { kind: 'throttle', share: 0.002, retryAfterMs: 200 },
    { kind: 'hang', share: 0.002 },
    { kind: 'code', code: 'ParameterCheckFailed', share: 0.005 },
  ],
};

type Disturbance = (rig: Rig, batch: string, random: Random) => Promise<unknown>;

const alive = new Set<RigWorker>();

async function start(rig: Rig, egress: string): Promise<void> {
  alive.add(await rig.startWorker({ egress, settings: { callDeadlineMs: 2_000 } }));
}

async function end(signal: NodeJS.Signals, random: Random): Promise<RigWorker | undefined> {
  const victim = [...alive][Math.floor(random() * alive.size)];
  if (victim === undefined) return undefined;
  alive.delete(victim);
  victim.kill(signal);
  await victim.ended;
  return victim;
}

const MIXTURE: readonly [Disturbance, ...Disturbance[]] = [
  async (rig, _batch, random) => {
    const victim = await end('SIGKILL', random);
    await start(rig, victim?.egress ?? EGRESSES[0]);
  },
  async (rig, _batch, random) => {
    const victim = await end('SIGTERM', random);
    await start(rig, victim?.egress ?? EGRESSES[0]);
  },
  (rig, _batch, random) => start(rig, pickOne(random, EGRESSES)),
  async (_rig, _batch, random) => {
    const sleeper = [...alive][Math.floor(random() * alive.size)];
    if (sleeper === undefined) return;
    process.kill(sleeper.pid, 'SIGSTOP');
    await delay(random() * 7_000);
    process.kill(sleeper.pid, 'SIGCONT');
  },
  async (rig) => rig.proxy.cut(),
  async (rig, _batch, random) => {
    rig.proxy.delayMs = Math.ceil(random() * 30);
    await delay(1_500);
    rig.proxy.delayMs = 0;
  },
  async (rig) => {
    rig.proxy.down = true;
    await delay(1_500);
    rig.proxy.down = false;
  },
  async (rig) => {
    process.kill(rig.server.serverPid(), 'SIGKILL');
    await rig.server.restart();
  },
  async (rig) => {
    await rig.direct.config('SET', 'min-replicas-to-write', '1');
    await delay(1_000);
    await rig.direct.config('SET', 'min-replicas-to-write', '0');
  },
  (rig, batch) => rig.run(['dead', 'retry', '--batch', batch]),
  async (rig, batch) => {
    await rig.run(['pause', batch]);
    await delay(500);
    await rig.run(['resume', batch]);
  },
];

describe('a soak', () => {
  it(`of ${DISTURBANCES} faults mixed at random, seed ${SEED}`, { timeout: 400_000 }, async () => {
    const random = seededRandom(SEED);
    const items = certificates(ITEMS, SEED);
    const rig = await openRig({ plan: PLAN });
    try {
      const batch = await rig.submit(items);
      for (const egress of EGRESSES) await start(rig, egress);
      await rig.until(batch, ({ pending }) => pending < ITEMS - 200);
      for (let round = 0; round < DISTURBANCES; round += 1) {
        await pickOne(random, MIXTURE)(rig, batch, random);
        await delay(500 + random() * 1_500);
      }
      const detail = await rig.until(batch, ({ pending, state }) => pending === 0 || state === 'paused', 180_000);
      if (detail.state === 'paused') await rig.run(['resume', batch]);
      await rig.until(batch, ({ pending }) => pending === 0, 180_000);
      await expectNothingLost(rig, batch, items);
      await expectEffects(rig, batch, items);
      await expectNeverOver(`soak, seed ${SEED}`, await rig.pace(), items.length);
      await expectSecrecy(rig, batch);
    } finally {
      alive.clear();
      await rig.remove();
    }
  });
});
