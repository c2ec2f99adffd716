import { appendFile } from 'node:fs/promises';
import { expect } from 'vitest';
import { certificates } from '../support/fleet.ts';
import {
  expectDeletionsWithin,
  expectEffects,
  expectNeverOver,
  expectNothingLost,
  expectSecrecy,
} from '../support/oracles.ts';
import { openRig } from '../support/rig.ts';
import type { Scenario } from './scenario.ts';

/** Runs a scenario and has the oracles judge it; what they saw goes to the file that FAULTS_LOG names, if any. */
export async function expectPromisesKept(scenario: Scenario, seed: number): Promise<void> {
  const items = certificates(scenario.items, seed);
  const rig = await openRig(scenario);
  try {
    const batch = await rig.submit(items);
    const judged = (await scenario.disturb(rig, batch, items)) ?? batch;
    await expectNothingLost(rig, judged, items);
    if (scenario.isLossy === true) {
      const deleted = await expectDeletionsWithin(rig, items);
      expect(deleted.size, 'certificates deleted in the end').toBe(items.length);
    } else await expectEffects(rig, judged, items);
    const findings = await expectNeverOver(rig, items.length);
    expect(findings.used, 'percent of the cap that was used').toBeGreaterThanOrEqual(scenario.leastUsed ?? 0);
    await expectSecrecy(rig, judged);
    const log = process.env['FAULTS_LOG'];
    if (log !== undefined) await appendFile(log, `${JSON.stringify({ scenario: scenario.name, ...findings })}\n`);
  } finally {
    await rig.remove();
  }
}
