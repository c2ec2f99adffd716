import { expect } from 'vitest';
import { certificates } from '../support/fleet.ts';
import { expectDeletionsWithin, expectEffects, expectNothingLost, expectSecrecy } from '../support/oracles.ts';
import { expectNeverOver } from '../support/pace-oracle.ts';
import { openRig } from '../support/rig.ts';
import type { Scenario } from './scenario.ts';

/** Runs a scenario and has the oracles judge it. */
export async function expectPromisesKept(scenario: Scenario, seed: number): Promise<void> {
  const items = certificates(scenario.items, seed);
  const rig = await openRig(scenario);
  try {
    const batch = await (scenario.submit?.(rig, items) ?? rig.submit(items));
    const judged = (await scenario.disturb(rig, batch, items)) ?? batch;
    await expectNothingLost(rig, judged, items);
    if (scenario.isLossy === true) {
      const deleted = await expectDeletionsWithin(rig, items);
      expect(deleted.size, 'certificates deleted in the end').toBe(items.length);
    } else await expectEffects(rig, judged, items);
    const findings = await expectNeverOver(scenario.name, await rig.pace(), items.length);
    expect(findings.used, 'percent of the cap that was used').toBeGreaterThanOrEqual(scenario.leastUsed ?? 0);
    await expectSecrecy(rig, judged);
  } finally {
    await rig.remove();
  }
}
