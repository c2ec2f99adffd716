import { expect } from 'vitest';
import { claim, feed, goOn, goOnFeeding, sweep, work } from './commands.ts';
import type { QueueModel } from './model.ts';
import type { Real } from './real.ts';

/** Far more than any script leaves to do. */
const ROUNDS = 40;
const HONEST = { answers: [], grant: 'slot' } as const;

/** Everything goes well from now on: then every item ends, in so many rounds, and nothing is left in the queues or waits. */
export async function expectDrained(model: QueueModel, real: Real): Promise<void> {
  const { room, hands } = real;
  while (hands.length > 0) await goOn(0, 'goes on').run(model, real);
  while (room.stalledFeeders > 0) await goOnFeeding(0).run(model, real);
  room.world.isHalted = false;
  for (let round = 0; round < ROUNDS && !isDone(model); round += 1) {
    for (const batch of model.batches) {
      if (batch.state !== 'paused') continue;
      await room.ledger.batches.change(batch.id, 'resume');
      model.change(batch, 'resume');
    }
    const steps = [
      // Blocks that no feeder has noted leave the queue for a while, and make room for the feeder that will note them.
      work(100, HONEST, false, [], 'stays'),
      feed(1, true),
      work(100, HONEST, true, [], 'stays'),
      claim(100, HONEST, true, [], 'stays'),
      sweep(),
    ];
    for (const step of steps) await step.run(model, real);
  }
  expect(leftOf(model)).toEqual({ jobs: [], pending: [], waiting: [] });
  for (const { id, items } of model.batches) {
    const rows = (await room.rows(id)).toSorted((a, b) => a.ordinal - b.ordinal);
    expect(rows.map(({ ordinal }) => ordinal)).toEqual([...items.keys()]);
    for (const { ordinal, ...row } of rows) expect(row).toMatchObject(model.itemAt(id, ordinal).certificate);
    // The registry agrees: what counts as revoked or gone is not there.
    const gone = rows.filter(({ outcome }) => outcome === 'revoked' || outcome === 'already-gone');
    expect(gone.filter(({ deviceSn }) => room.world.registered.has(deviceSn))).toEqual([]);
  }
}

function isDone(model: QueueModel): boolean {
  const { jobs, pending, waiting } = leftOf(model);
  return jobs.length + pending.length + waiting.length === 0;
}

function leftOf(model: QueueModel): Record<'jobs' | 'pending' | 'waiting', string[]> {
  return {
    jobs: [...model.jobs.keys()],
    pending: model.batches.filter(({ items }) => items.includes('pending')).map(({ id }) => id),
    waiting: model.items.filter(({ waits }) => waits).map(({ at }) => `${at?.batch.id} ${at?.n}`),
  };
}
