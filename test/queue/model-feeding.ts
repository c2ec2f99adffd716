import { expect } from 'vitest';
import type { FeederEvent } from '../../src/queue/feeder.ts';
import type { ModelBatch } from '../ledger/model.ts';
import { isPending, type QueueModel } from './model.ts';
import type { FeederDeath, HandStage } from './hand-stage.ts';

/** A round of feeding. How much is fed is the feeder's own affair; what it does to each item must be right. */
export async function feeding(model: QueueModel, stage: HandStage, feeders: 1 | 2, death?: FeederDeath): Promise<void> {
  await takeRound(model, stage, await stage.feed(feeders, death), false);
}

/** The rest of the round of a feeder that stalled. It may not know what has become of a batch; what it hands over does no harm. */
export async function lateFeeding(model: QueueModel, stage: HandStage, at: number): Promise<void> {
  await takeRound(model, stage, await stage.goOnFeeding(at), true);
}

async function takeRound(
  model: QueueModel,
  stage: HandStage,
  events: readonly FeederEvent[],
  isLate: boolean,
): Promise<void> {
  for (const event of events) expectReason(model, event);
  for (const batch of model.batches) await takeCancelled(model, stage, batch);
  const { waiting } = await stage.held();
  for (const id of waiting) if (!model.jobs.has(id)) takeFed(model, id, isLate);
  for (const batch of model.batches) {
    const reopened = new Set((await stage.redis.hkeys(stage.ledger.keys.of(batch.id).reopened)).map(Number));
    for (const n of batch.reopened) {
      if (reopened.has(n)) continue;
      const item = model.itemAt(batch.id, n);
      const isRight = !isPending(item) || item.lost || model.hasJob(item);
      expect({ n, isRight }).toEqual({ n, isRight: true });
      batch.reopened.delete(n);
    }
  }
}

/** A batch pauses itself for its dead items only, and jobs count as lost only where they are. */
function expectReason(model: QueueModel, event: FeederEvent): void {
  if (event.kind === 'trouble') throw event.error;
  if (event.kind === 'lanes-lost') throw new Error(`the ${event.key} of ${event.batch} are there`);
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

function takeFed(model: QueueModel, id: string, isLate: boolean): void {
  const adopted = model.batches.find(({ adopted: jobs }) => jobs.has(id));
  const [, name = adopted?.id ?? '', n = adopted?.adopted.get(id), life = 0] =
    /^([^.]+)\.(\d+)(?:\.(\d+))?$/.exec(id) ?? [];
  const item = model.itemAt(name, Number(n));
  // It is not one of an earlier life of the item, beside which there could be another.
  expect({ id, life: Number(life) }).toEqual({ id, life: item.life });
  const { at } = item;
  // Of a cancelled batch, only what may have been called for is followed to its end.
  const isRight = at?.batch.state === 'running' || (at?.batch.state === 'cancelled' && item.note !== undefined);
  expect({ id, state: at?.batch.state, isRight: isRight || isLate }).toEqual({
    id,
    state: at?.batch.state,
    isRight: true,
  });
  model.feed(id, item, Number(life));
}
