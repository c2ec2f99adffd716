import { expect } from 'vitest';
import { parseBlock } from '../../../src/queue/contract.ts';
import type { FeederEvent } from '../../../src/queue/feed/feeder.ts';
import type { Phase } from '../../../src/core/retirement.ts';
import { isSoaking, leftAs, type ModelBatch } from '../../ledger/model.ts';
import { INSTANCES, type FeederDeath, type HandStage } from '../hand-stage.ts';
import { isPending, type QueueModel } from './model.ts';

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
  const { waiting } = await stage.jobPlaces();
  for (const id of waiting) if (!model.jobs.has(id)) await takeBlock(model, stage, id, isLate);
  for (const instance of INSTANCES) await takeParked(model, stage, instance);
}

/** A batch pauses itself for its dead items only, and items count as lost only where they are. */
function expectReason(model: QueueModel, event: FeederEvent): void {
  if (event.kind === 'trouble') throw event.error;
  // What was settled as cancelled is looked at in the ledger.
  if (event.kind === 'item-cancelled') return;

  if (event.kind === 'lanes-lost') throw new Error(`the ${event.key} of ${event.batch} are there`);
  const batch = model.batches.find(({ id }) => id === event.batch);
  if (batch === undefined) throw new Error(`there is no batch ${event.batch}`);
  if (event.kind === 'phase') return takePhase(batch, event.phase);
  if (event.kind === 'jobs-lost') {
    const lost = [...batch.items.keys()].filter((n) => model.itemAt(batch.id, n).lost);
    expect(lost.length).toBeGreaterThanOrEqual(event.pending);
    return;
  }
  expect(event.dead).toBeGreaterThan(Math.max(1, event.settled / 2));
  model.change(batch, 'pause');
}

/** It soaks when nothing is left to be marked, and deletes only after that. */
function takePhase(batch: ModelBatch, phase: Phase): void {
  const open = [...batch.items.keys()].filter((n) => batch.items[n] === 'pending' && !isSoaking(batch, n));
  const told = { phase, before: batch.phase, open: phase === 'soaking' ? open : [], state: batch.state };
  expect(told).toEqual({ phase, before: phase === 'soaking' ? 'inactivating' : 'soaking', open: [], state: 'running' });
  batch.phase = phase;
}

/** What the feeder has settled: as cancelled, of a cancelled batch, where no call may have worked or be under way. */
async function takeCancelled(model: QueueModel, stage: HandStage, batch: ModelBatch): Promise<void> {
  const rows = await stage.rows(batch.id);
  for (const { ordinal, outcome } of rows) {
    const item = model.itemAt(batch.id, ordinal);
    if (!isPending(item)) continue;
    const { unknown, note } = item.record;
    const left = leftAs(batch, ordinal) ?? 'cancelled';
    const told = { ordinal, state: batch.state, outcome, unknown, note };
    expect(told).toEqual({ ordinal, state: 'cancelled', outcome: left, unknown: false, note: undefined });
    model.end(item, left, false, false);
  }
}

/** A block is of a batch that runs, and was not behind the cursor already. */
async function takeBlock(model: QueueModel, stage: HandStage, id: string, isLate: boolean): Promise<void> {
  const jobs = await Promise.all(Object.values(stage.queues.blocks).map((queue) => queue.getJob(id)));
  const block = parseBlock(jobs.find((job) => job !== undefined)?.data);
  if (block === undefined) throw new Error(`the job ${id} is no block`);
  const batch = model.batches.find((known) => known.id === block.batch);
  const isSound = block.from >= 0 && block.from < block.to && block.to <= (batch?.items.length ?? 0);
  expect({ id, isSound: isSound || isLate, state: batch?.state }).toEqual({
    id,
    isSound: true,
    state: isLate ? batch?.state : 'running',
  });
  model.jobs.set(id, { id, block, place: 'waiting', stalls: 0 });
}

/** What the feeder has put where items wait: what Redis lost. */
async function takeParked(model: QueueModel, stage: HandStage, instance: string): Promise<void> {
  for (const member of await stage.redis.zrange(stage.ledger.keys.waiting(instance), '0', '-1')) {
    const [batch = '', n = ''] = member.split(' ');
    const item = model.itemAt(batch, Number(n));
    if (item.waits) continue;
    expect({ member, lost: item.lost, isHeld: model.isHeld(item) }).toEqual({ member, lost: true, isHeld: false });
    model.wait(item);
  }
}
