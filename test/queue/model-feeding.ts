import { expect } from 'vitest';
import type { FeederEvent } from '../../src/queue/feeder.ts';
import type { ModelBatch } from '../ledger/model.ts';
import type { QueueModel } from './model.ts';
import type { FeederDeath, HandStage } from './hand-stage.ts';

/** A round of feeding. How much is fed is the feeder's own affair; what it does to each item must be right. */
export async function feeding(model: QueueModel, stage: HandStage, feeders: 1 | 2, death?: FeederDeath): Promise<void> {
  for (const event of await stage.feed(feeders, death)) expectReason(model, event);
  for (const batch of model.batches) {
    await takeCancelled(model, stage, batch);
    const reopened = new Set((await stage.redis.hkeys(stage.ledger.keys.of(batch.id).reopened)).map(Number));
    for (const n of batch.reopened) if (!reopened.has(n)) batch.reopened.delete(n);
  }
  const { waiting } = await stage.held();
  for (const id of waiting) if (!model.jobs.has(id)) takeFed(model, id);
}

/** A batch pauses itself for its dead items only, and jobs count as lost only where they are. */
function expectReason(model: QueueModel, event: FeederEvent): void {
  if (event.kind === 'trouble') throw event.error;
  const batch = model.batches.find(({ id }) => id === event.batch);
  if (batch === undefined) throw new Error(`there is no batch ${event.batch}`);
  if (event.kind === 'jobs-lost') {
    const lost = [...batch.items.keys()].filter((n) => model.itemAt(batch.id, n).lost);
    expect(lost.length).toBeGreaterThanOrEqual(event.pending);
    return;
  }
  expect(event.dead).toBeGreaterThan(Math.max(1, event.settled / 2));
  model.change(batch, 'pause');
}

/** What the feeder has settled: as cancelled, of a cancelled batch. */
async function takeCancelled(model: QueueModel, stage: HandStage, batch: ModelBatch): Promise<void> {
  const rows = await stage.rows(batch.id);
  for (const { ordinal, outcome } of rows) {
    if (batch.items[ordinal] !== 'pending') continue;
    const item = model.itemAt(batch.id, ordinal);
    const told = { ordinal, state: batch.state, outcome, hasJob: model.hasJob(item), note: item.note };
    expect(told).toEqual({ ordinal, state: 'cancelled', outcome: 'cancelled', hasJob: false, note: undefined });
    model.end(model.itemAt(batch.id, ordinal), 'cancelled', false);
  }
}

function takeFed(model: QueueModel, id: string): void {
  const adopted = model.batches.find(({ adopted: jobs }) => jobs.has(id));
  const [, name = adopted?.id ?? '', n = adopted?.adopted.get(id), life = 0] =
    /^([^.]+)\.(\d+)(?:\.(\d+))?$/.exec(id) ?? [];
  const item = model.itemAt(name, Number(n));
  // It is not one of an earlier life of the item, beside which there could be another.
  expect({ id, life: Number(life) }).toEqual({ id, life: item.life });
  // Of a cancelled batch, only what may have been called for is followed to its end.
  expect({ id, state: item.at?.batch.state }).toEqual({
    id,
    state: item.note !== undefined && item.at?.batch.state === 'cancelled' ? 'cancelled' : 'running',
  });
  model.feed(id, item, Number(life));
}
