import fc from 'fast-check';
import { expect, it } from 'vitest';
import { CALL_ACTIONS } from '../../src/core/action.ts';
import { certificatesOf, LedgerRoom } from './ledger-room.ts';
import { commands } from './model-commands.ts';
import { INSTANCES } from './model-judge.ts';
import { claim, crashes, giveJobs, handJob, park, timePasses } from './model-place-commands.ts';
import { asks, tells, type RunCommand, type RunReal } from './model-run-commands.ts';
import { RunModel } from './model-runs.ts';

/** In proportions that keep items on their way for a while. */
const all: fc.Arbitrary<RunCommand>[] = [
  ...commands(),
  asks(),
  asks(),
  asks(),
  asks(),
  tells(),
  tells(),
  tells(),
  tells(),
  claim(),
  claim(),
  timePasses(),
  park(),
  handJob(),
  handJob(),
  crashes(),
];

it('is what the model says after every operation, each done once or twice, and its counts always add up', async () => {
  let ran = 0;
  const property = fc.asyncProperty(
    fc.commands(all, { maxCommands: 60, size: 'max' }),
    fc.constantFrom(...CALL_ACTIONS),
    async (script, action) => {
      const room = new LedgerRoom();
      try {
        const model = new RunModel();
        const manifests = [certificatesOf(5), certificatesOf(3, INSTANCES)];
        const actions = ['delete', action] as const;
        const real: RunReal = { room, manifests, actions, runs: new Map() };
        await giveJobs(model, real);
        await fc.asyncModelRun(() => ({ model, real }), script);
        ran += model.batches.length;
      } finally {
        await room.cleanup();
      }
    },
  );
  await fc.assert(property, { numRuns: 40 });
  expect(ran).toBeGreaterThan(40);
});
