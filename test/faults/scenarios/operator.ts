import { setTimeout as delay } from 'node:timers/promises';
import { progress, PROMISE, startTwo, type Scenario } from '../scenario.ts';

/** An operator steps in while a batch runs. */
export const OPERATOR: readonly Scenario[] = [
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
