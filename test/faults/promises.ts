import { appendFile } from 'node:fs/promises';
import { certificates } from '../support/fleet.ts';
import {
  expectDeletionsWithin,
  expectEffects,
  expectNeverOver,
  expectNothingLost,
  expectSecrecy,
} from '../support/oracles.ts';
import { openRig } from '../support/rig.ts';
import type { Scenario } from './scenarios.ts';

/** Runs a scenario and has the four oracles judge it; what they saw goes to the file that FAULTS_LOG names, if any. */
export async function expectPromisesKept(scenario: Scenario, seed: number): Promise<void> {
  const items = certificates(scenario.items, seed);
  const rig = await openRig(scenario.plan);
  try {
    const batch = await rig.submit(items);
    await scenario.disturb(rig, batch, items);
    if (scenario.isLossy === true) await expectDeletionsWithin(rig, items);
    else {
      await expectNothingLost(rig, batch, items);
      await expectEffects(rig, batch, items);
    }
    const findings = await expectNeverOver(rig, items.length);
    await expectSecrecy(rig, batch);
    const log = process.env['FAULTS_LOG'];
    if (log !== undefined) await appendFile(log, `${JSON.stringify({ scenario: scenario.name, ...findings })}\n`);
  } finally {
    await rig.remove();
  }
}
