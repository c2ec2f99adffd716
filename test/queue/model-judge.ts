import { expect } from 'vitest';
import { deadLetters } from '../../src/ledger/dead-letters.ts';
import { expectLedgerAs } from '../ledger/model-judge.ts';
import type { ModelBatch } from '../ledger/model.ts';
import { isRefusal, type HandStage, type JobPlace } from './hand-stage.ts';
import { isPending, type ModelItem, type QueueModel } from './model.ts';

/** After every step: the ledger, the queue and the calls are what the model says, nothing is lost, and no outcome is a lie. */
export async function expectAllAs(model: QueueModel, stage: HandStage): Promise<void> {
  const { world } = stage;
  const [held] = await Promise.all([
    stage.held(),
    expectLedgerAs(model, stage),
    ...model.batches.map((batch) => expectSoundItems(model, batch, stage)),
  ]);
  expect(held).toEqual({
    waiting: idsOf(model, 'waiting'),
    active: idsOf(model, 'active'),
    failed: idsOf(model, 'failed'),
  });
  expect(world.calls.splice(0)).toEqual(model.calls.splice(0));
  expect(world.registered).toEqual(model.registered);
  expect(world.isHalted).toBe(model.isHalted);
  expect(world.defects.splice(0).filter((message) => !isRefusal(message) && !isLostLock(message))).toEqual([]);
}

async function expectSoundItems(model: QueueModel, batch: ModelBatch, stage: HandStage): Promise<void> {
  for (const n of batch.items.keys()) expectTruth(batch, n, model.itemAt(batch.id, n));
  await expectNoneLost(model, batch, stage);
  if (batch.manifest !== undefined) await expectCounted(model, batch, stage);
  if (batch.letters.size === 0) return;
  for await (const { n, effectUnknown, history } of deadLetters(stage.redis, stage.ledger, { batch: batch.id })) {
    const { unsure, life } = model.itemAt(batch.id, n);
    expect({ n, effectUnknown, deaths: history.length }).toEqual({ n, effectUnknown: unsure, deaths: life });
  }
}

/** What counts as fed is what was handed over: a step of the ramp that counted more would be waited for in vain. */
async function expectCounted(model: QueueModel, batch: ModelBatch, { ledger }: HandStage): Promise<void> {
  const [found, lanes] = await Promise.all([ledger.batch(batch.id), ledger.lanes(batch.id)]);
  const cursors = new Map(lanes.map(({ instanceId, cursor }) => [instanceId, cursor]));
  const isFed = (n: number): boolean => n < (cursors.get(model.itemAt(batch.id, n).certificate.instanceId) ?? 0);
  expect(found?.fed).toBe([...batch.items.keys()].filter(isFed).length);
}

function idsOf(model: QueueModel, place: JobPlace): string[] {
  return [...model.jobs.values()].flatMap((job) => (job.place === place ? [job.id] : [])).toSorted();
}

/** What pends has a job, or will be given one: it was never fed, waits to be tried again, or Redis lost its job. */
async function expectNoneLost(model: QueueModel, batch: ModelBatch, stage: HandStage): Promise<void> {
  for (const n of batch.items.keys()) {
    const item = model.itemAt(batch.id, n);
    if (!isPending(item) || item.lost || batch.reopened.has(n) || model.hasJob(item)) continue;
    expect({ n, isLost: await isNoted(stage, item) }).toEqual({ n, isLost: false });
  }
}

/** Whether the feeder has noted that it handed the item to the queue; from then on it relies on the job. */
async function isNoted({ ledger }: HandStage, { at, certificate }: ModelItem): Promise<boolean> {
  if (at === undefined) return true;
  if (at.batch.reopened.has(at.n)) return false;
  const lanes = await ledger.lanes(at.batch.id);
  const lane = lanes.find(({ instanceId }) => instanceId === certificate.instanceId);
  return lane === undefined || at.n < lane.cursor;
}

/** Counted as revoked is what our calls deleted, and nothing that they may have deleted hides under another name. */
function expectTruth(batch: ModelBatch, n: number, { ours, unsure }: ModelItem): void {
  const told = { batch: batch.id, n, outcome: batch.items[n], ours, unsure };
  switch (told.outcome) {
    case 'revoked':
      expect(told).toEqual({ ...told, ...(!unsure && { ours: true }) });
      break;
    case 'already-gone':
      expect(told).toEqual({ ...told, ours: false });
      break;
    case 'dead':
      // Its dead letter says so.
      expect(told).toEqual({ ...told, ...(ours && { unsure: true }) });
      break;
    case 'cancelled':
      expect(told).toEqual({ ...told, ours: false });
      break;
    case 'pending':
    case undefined:
  }
}

/** Of a run that stood still between the last look at its lock and the move of its job. */
function isLostLock(message: string): boolean {
  return /^(Missing lock|Lock mismatch|Missing key) for job/.test(message);
}
