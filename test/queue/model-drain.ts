import { expect } from 'vitest';
import { feed, goOn, goOnFeeding, sweep, work, type Real } from './model-commands.ts';
import type { QueueModel } from './model.ts';

/** Far more than any script leaves to do. */
const ROUNDS = 30;
const HONEST = { answers: [], grant: 'slot' } as const;

/** Everything goes well from now on: then every item ends, in so many rounds, and nothing is left in the queue. */
export async function expectDrained(model: QueueModel, real: Real): Promise<void> {
  const { room } = real;
  while (model.stopped.length > 0) await goOn(0).run(model, real);
  while (room.stalledFeeders > 0) await goOnFeeding(0).run(model, real);
  room.world.isHalted = model.isHalted = false;
  for (let round = 0; round < ROUNDS && !isDone(model); round += 1) {
    for (const batch of model.batches) {
      if (batch.state !== 'paused') continue;
      await room.ledger.change(batch.id, 'resume');
      model.change(batch, 'resume');
    }
    for (const step of [feed(1, true), work(100, HONEST, true), sweep()]) await step.run(model, real);
  }
  expect(isDone(model)).toBe(true);
  for (const { id, items } of model.batches) {
    const rows = (await room.rows(id)).toSorted((a, b) => a.ordinal - b.ordinal);
    expect(rows.map(({ ordinal }) => ordinal)).toEqual([...items.keys()]);
    for (const { ordinal, ...row } of rows) expect(row).toMatchObject(model.itemAt(id, ordinal).certificate);
  }
}

function isDone(model: QueueModel): boolean {
  return model.jobs.size === 0 && model.batches.every(({ items }) => !items.includes('pending'));
}
