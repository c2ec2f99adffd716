import fc from 'fast-check';
import { expect, it } from 'vitest';
import { certificatesOf, LedgerRoom } from './ledger-room.ts';
import { commands, type Real } from './model-commands.ts';
import { Model } from './model.ts';

it('is what the model says after every operation, each done once or twice, and its counts always add up', async () => {
  let ran = 0;
  const property = fc.asyncProperty(fc.commands(commands(), { maxCommands: 40, size: 'max' }), async (script) => {
    const room = new LedgerRoom();
    try {
      const model = new Model();
      const manifests = [certificatesOf(5), certificatesOf(3, ['post-cn-a', 'post-cn-b'])];
      const real: Real = { room, manifests, standing: 'direct-fleet' };
      await fc.asyncModelRun(() => ({ model, real }), script);
      ran += model.batches.length;
    } finally {
      await room.cleanup();
    }
  });
  await fc.assert(property, { numRuns: 40 });
  expect(ran).toBeGreaterThan(40);
});
