import { afterEach, beforeEach, expect, it } from 'vitest';
import { certificatesOf } from '../feed/feed-stage.ts';
import type { Taken } from '../hand-stage.ts';
import { StepStage } from '../step-stage.ts';
import type { Point } from '../stops.ts';
import { World, type AnswerKind } from '../world.ts';

const [item, ...none] = certificatesOf(1);
let stage: StepStage;
let batch: string;
beforeEach(async () => {
  stage = new StepStage(new World([item?.deviceSn ?? '']));
  batch = await stage.batchOf(item === undefined ? none : [item]);
  await stage.feed();
});
afterEach(() => stage.close());

/** One process stands still for longer than its lock, and another one's call has deleted the certificate meanwhile. */
async function overtake(
  answers: readonly AnswerKind[],
  stillAt: Point,
  how: 'run' | 'cancel' = 'run',
): Promise<[still: Taken, other: Taken]> {
  const still = await stage.take(answers, stillAt);
  await stage.loseLock(still.id);
  // A call of it was under way before, so the other one follows it to its end.
  if (how === 'cancel') await stage.redis.hset(stage.ledger.keys.of(batch).attempts, '0', '0 0 1 1 ');
  const other = await stage.take([], 'answered');
  expect(stage.world.registered.size).toBe(0);
  return [still, other];
}

/** A block whose lock was lost comes to another process once more, which finds nothing to do. */
async function expectNothingLeft(): Promise<void> {
  const calls = stage.world.calls.length;
  while ((await stage.takeIfAny()) !== undefined);
  expect(stage.world.calls).toHaveLength(calls);
  expect(await stage.jobIds()).toEqual([]);
  expect(await stage.parked(batch)).toEqual([]);
}

async function expectRevokedBy({ process }: Taken): Promise<void> {
  const pending = await stage.batch(batch);
  expect(pending.counts).toEqual({ accepted: 1, revoked: 0, alreadyGone: 0, dead: 0, cancelled: 0 });
  await stage.goOn(process);
  expect((await stage.batch(batch)).counts).toMatchObject({ revoked: 1, alreadyGone: 0, dead: 0, cancelled: 0 });
  await expectNothingLeft();
}

it('may be lost to a run that deletes the certificate: what is then not found was not gone before', async () => {
  const [still, other] = await overtake([], 'sent');
  await stage.goOn(still.process);
  await expectRevokedBy(other);
});

it('may be lost to a run that deletes the certificate: a refusal of another call does not make it dead', async () => {
  const [still, other] = await overtake(['refused'], 'sent');
  await stage.goOn(still.process);
  await expectRevokedBy(other);
});

it('may be lost to a run that deletes the certificate: it is not cancelled', async () => {
  const [still, other] = await overtake([], 'slot');
  await stage.ledger.batches.change(batch, 'cancel');
  await stage.goOn(still.process);
  await expectRevokedBy(other);
});

it.each<[string, readonly AnswerKind[], 'run' | 'cancel']>([
  ['dead', ['refused'], 'run'],
  ['cancelled', [], 'cancel'],
])('may be lost right before the item is settled: it is not %s', async (_, answers, how) => {
  if (how === 'cancel') await stage.ledger.batches.change(batch, 'cancel');
  const [still, other] = await overtake(answers, 'settling', how);
  await stage.goOn(still.process);
  await expectRevokedBy(other);
});

it('leaves no call of which the run that has the job could not know', async () => {
  const still = await stage.take([], 'slot');
  await stage.loseLock(still.id);
  const other = await stage.take([], 'sent');
  await stage.goOn(still.process);
  expect(stage.world.calls).toEqual([]);
  await stage.goOn(other.process);
  expect(await stage.batch(batch)).toMatchObject({ counts: { revoked: 1 }, confirmedByAbsence: 0 });
});

it('leaves no call by a note that was made for a slot which ended unused', async () => {
  const still = await stage.take(['void'], 'answered');
  await stage.loseLock(still.id);
  await stage.goOn(still.process);
  expect(stage.world.calls).toEqual([]);
  await stage.take();
  expect((await stage.batch(batch)).counts).toMatchObject({ revoked: 1 });
});

it('may be lost to a run that ends the item: one that still waited for a slot does not call again', async () => {
  const still = await stage.take([], 'slot');
  await stage.loseLock(still.id);
  await stage.take([]);
  await stage.goOn(still.process);
  expect(stage.world.calls).toHaveLength(1);
  expect((await stage.batch(batch)).counts).toMatchObject({ revoked: 1, alreadyGone: 0 });
  await expectNothingLeft();
});

it('costs no try, not even the last one', async () => {
  await stage.take(['busy']);
  await stage.take(['busy']);
  const still = await stage.take(['throttled'], 'answered');
  await stage.loseLock(still.id);
  await stage.goOn(still.process);
  expect((await stage.batch(batch)).counts).toMatchObject({ dead: 0 });
  await stage.take([]);
  expect((await stage.batch(batch)).counts).toMatchObject({ revoked: 1, dead: 0 });
});

it('leaves the item as another run has left it', async () => {
  const still = await stage.take(['throttled'], 'answered');
  await stage.loseLock(still.id);
  await stage.take(['busy']);
  const { attempts } = stage.ledger.keys.of(batch);
  const left = async (): Promise<unknown> => [
    await stage.redis.hgetall(attempts),
    await stage.redis.zrange(stage.ledger.keys.waiting(item?.instanceId ?? ''), '0', '-1', 'WITHSCORES'),
  ];
  const before = await left();
  await stage.goOn(still.process);
  expect(await left()).toEqual(before);
});

it('leaves a claim to the process that took it later, though both heard of the item while it waited', async () => {
  await stage.take(['busy']);
  const still = await stage.take([], 'slot');
  await stage.loseLock(still.id);
  const other = await stage.take([], 'sent');
  await stage.goOn(still.process);
  expect(stage.world.calls).toHaveLength(1);
  await stage.goOn(other.process);
  expect(await stage.batch(batch)).toMatchObject({ counts: { revoked: 1 }, confirmedByAbsence: 0 });
});

it('does not make a success untrue', async () => {
  const still = await stage.take([], 'answered');
  await stage.loseLock(still.id);
  await stage.goOn(still.process);
  expect((await stage.batch(batch)).counts).toMatchObject({ revoked: 1 });
  await stage.take([]);
  expect(stage.world.calls).toHaveLength(1);
  await expectNothingLeft();
});
