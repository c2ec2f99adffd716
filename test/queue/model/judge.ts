import { expect } from 'vitest';
import { expectLedgerAs } from '../../ledger/model-judge.ts';
import { leftAs, type ModelBatch } from '../../ledger/model.ts';
import { INSTANCES, isRefusal, type HandStage, type JobPlace } from '../hand-stage.ts';
import { isPending, type ModelItem, type QueueModel } from './model.ts';

/** Of what happens inside a step. */
export function expectSame(found: unknown, told: unknown): void {
  expect(found).toEqual(told);
}

/** After every step: the ledger, the queues and what waits are what the model says, nothing is lost, and no outcome is a lie. */
export async function expectAllAs(model: QueueModel, stage: HandStage): Promise<void> {
  const { world } = stage;
  const [held, waiting] = await Promise.all([
    stage.jobPlaces(),
    waitingMembers(stage),
    expectLedgerAs(model, stage),
    ...model.batches.map((batch) => expectSoundItems(model, batch, stage)),
  ]);
  expect(held).toEqual({
    waiting: idsOf(model, 'waiting'),
    active: idsOf(model, 'active'),
    failed: idsOf(model, 'failed'),
  });
  expect(waiting).toEqual(
    model.items.flatMap(({ at, waits }) => (waits && at !== undefined ? [`${at.batch.id} ${at.n}`] : [])).toSorted(),
  );
  expect(world.defects.splice(0).filter((message) => !isRefusal(message))).toEqual([]);
}

async function waitingMembers({ redis, ledger }: HandStage): Promise<string[]> {
  const lists = INSTANCES.map((instance) => redis.zrange(ledger.keys.waiting(instance), '0', '-1'));
  return (await Promise.all(lists)).flat().toSorted();
}

async function expectSoundItems(model: QueueModel, batch: ModelBatch, stage: HandStage): Promise<void> {
  for (const n of batch.items.keys()) expectTruth(batch, n, model.itemAt(batch.id, n));
  await Promise.all([expectFed(model, batch, stage), expectRecords(model, batch, stage)]);
  if (batch.letters.size === 0) return;
  for await (const { n, effectUnknown, history } of stage.ledger.deadLetters.list({ batch: batch.id })) {
    const { unsure, life } = model.itemAt(batch.id, n);
    expect({ n, effectUnknown, deaths: history.length }).toEqual({ n, effectUnknown: unsure, deaths: life });
  }
}

/**
 * What counts as fed is what was handed over: a step of the ramp that counted more would be waited for in vain. And what was handed over and pends is
 * held by a job, or waits, unless Redis lost it.
 */
async function expectFed(model: QueueModel, batch: ModelBatch, { ledger }: HandStage): Promise<void> {
  const [found, lanes] = await Promise.all([ledger.batches.find(batch.id), ledger.lanes.of(batch.id)]);
  const cursors = new Map(lanes.map(({ instanceId, cursor }) => [instanceId, cursor]));
  const isFed = (n: number): boolean =>
    batch.manifest === undefined || n < (cursors.get(model.itemAt(batch.id, n).certificate.instanceId) ?? 0);
  const fed = [...batch.items.keys()].filter(isFed);
  if (batch.phase === undefined || batch.phase === 'inactivating') expect(found?.fed).toBe(fed.length);
  else {
    // What had ended before the deletions began does not count; what was retried since may.
    const least = batch.state === 'cancelled' ? 0 : fed.filter((n) => batch.marked.has(n)).length;
    expect(found?.fed).toBeGreaterThanOrEqual(batch.phase === 'deleting' ? least : 0);
    expect(found?.fed).toBeLessThanOrEqual(
      batch.phase === 'deleting' && batch.state !== 'cancelled' ? fed.length : batch.items.length,
    );
  }
  const isLost = (item: ModelItem): boolean => isPending(item) && !item.lost && !model.isHeld(item);
  expect(fed.filter((n) => isLost(model.itemAt(batch.id, n)))).toEqual([]);
}

/** What the ledger knows of the past of items that pend, and that it keeps nothing of others. */
async function expectRecords(model: QueueModel, batch: ModelBatch, { redis, ledger }: HandStage): Promise<void> {
  const found = await redis.hgetall(ledger.keys.of(batch.id).attempts);
  const told = [...batch.items.keys()].flatMap((n): [string, string][] => {
    const item = model.itemAt(batch.id, n);
    const { failures, calls, unknown, crashes, note } = item.record;
    const isKept = isPending(item) && (failures + calls + crashes > 0 || unknown || note !== undefined);
    return isKept ? [[`${n}`, `${failures} ${calls} ${unknown ? 1 : 0} ${crashes} ${note?.name ?? ''}`]] : [];
  });
  expect({ batch: batch.id, ...found }).toEqual({ batch: batch.id, ...Object.fromEntries(told) });
}

function idsOf(model: QueueModel, place: JobPlace): string[] {
  return [...model.jobs.values()].flatMap((job) => (job.place === place ? [job.id] : [])).toSorted();
}

/** Counted as done is what our calls did, and nothing that they may have done hides under another name. */
function expectTruth(batch: ModelBatch, n: number, { ours, unsure }: ModelItem): void {
  const told = { batch: batch.id, n, outcome: batch.items[n], ours, unsure };
  if (batch.marked.has(n) && (told.outcome === 'inactivated' || told.outcome === 'already-inactive')) {
    // Judged when it was marked. It was not deleted.
    expect(told).toEqual({ ...told, outcome: leftAs(batch, n), ...(!unsure && { ours: false }) });
    return;
  }
  // What our call has done, it has only inactivated.
  const isInactivation = batch.action === 'retire' && !batch.marked.has(n);
  if (isInactivation && told.outcome === 'already-gone') return;
  switch (told.outcome) {
    case 'revoked':
    case 'inactivated':
    case 'activated':
      expect(told).toEqual({ ...told, ...(!unsure && { ours: true }) });
      break;
    case 'already-gone':
    case 'already-inactive':
    case 'already-active':
    case 'kept-active':
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
