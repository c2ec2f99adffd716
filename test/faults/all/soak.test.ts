import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { Fault, FaultPlan } from '../../../src/sandbox/fault-plan.ts';
import { seededRandom } from '../../../src/sandbox/seeded.ts';
import { certificates } from '../../support/fleet.ts';
import { expectEffects, expectNothingLost, expectSecrecy } from '../../support/oracles.ts';
import { expectNeverOver } from '../../support/pace-oracle.ts';
import { EGRESSES, openRig } from '../../support/rig.ts';
import { mixed, Soaked } from '../mixture.ts';
import { resumeUntilDone } from '../scenario.ts';
import { EVERY_ANSWER } from '../scenarios/endpoint.ts';

/** The same seed brings the same faults in the same order; another one is another soak. */
const SEED = Number(process.env['FAULTS_SEED'] ?? 20261124);
const RANDOM = seededRandom(SEED);
const COUNT = process.env['FAULTS_COUNT'];
const DISTURBANCES = mixed(RANDOM, COUNT === undefined ? undefined : Number(COUNT));
/** So slow and so many that work is left when the last fault comes, however fast the machine is. */
const CAPS = { accountQps: 150, egressQps: 100 };
const ITEMS = 400 * DISTURBANCES.length;

/** Not that a certificate is not found which is there: after a crash that would mean that it was deleted. */
const isSound = (fault: Fault): boolean => fault.kind !== 'code' || fault.code !== 'FindDeviceBySnError';
/** Each bad answer, rarer than alone. */
const PLAN: FaultPlan = {
  seed: SEED,
  faults: [
    ...EVERY_ANSWER.filter(isSound).map((fault) => ({ ...fault, share: (fault.share ?? 1) / 4 })),
    { kind: 'hang', share: 0.002 },
  ],
};

it(`a soak of ${DISTURBANCES.length} faults mixed at random, seed ${SEED}`, { timeout: 600_000 }, async () => {
  const items = certificates(ITEMS, SEED);
  const rig = await openRig({ plan: PLAN, caps: CAPS });
  try {
    const batch = await rig.submit(items);
    const soaked = new Soaked(rig, batch);
    for (const egress of EGRESSES) await soaked.start(egress);
    await rig.until(batch, ({ pending }) => pending < ITEMS - 200);
    for (const disturb of DISTURBANCES) {
      await disturb(soaked, RANDOM);
      await delay(500 + RANDOM() * 1_500);
    }
    expect((await rig.status(batch))?.pending, 'items left at the last fault').toBeGreaterThan(0);
    await resumeUntilDone(rig, batch, 180_000);
    await expectNothingLost(rig, batch, items);
    await expectEffects(rig, batch, items);
    await expectNeverOver(`soak, seed ${SEED}`, await rig.pace(), items.length);
    await expectSecrecy(rig, batch);
  } finally {
    await rig.remove();
  }
});
