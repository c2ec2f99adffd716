import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Certificate } from '../../../src/core/certificate.ts';
import { certificatesOf } from './feed-stage.ts';
import { StepStage } from '../step-stage.ts';
import { ATTEMPTS } from '../hand.ts';
import { World } from '../world.ts';

const [item, other] = certificatesOf(2) as [Certificate, Certificate];
let stage: StepStage;
beforeEach(() => {
  stage = new StepStage(new World([item.deviceSn, other.deviceSn]));
});
afterEach(() => stage.close());

/** Long enough for all that a feeder does about it. */
async function wait(): Promise<void> {
  for (let round = 0; round < 5; round += 1) {
    await stage.feed();
    stage.passTime();
  }
}

async function cancel(batch: string): Promise<void> {
  expect((await stage.ledger.batches.change(batch, 'cancel')).kind).toBe('changed');
  await wait();
}

it('follows a retried dead letter to its end, when one of its calls may have worked', async () => {
  const batch = await stage.batchOf([item]);
  await stage.feed();
  for (let tries = 0; tries < ATTEMPTS; tries += 1) await stage.take(['lost-after']);
  expect((await stage.batch(batch)).counts).toMatchObject({ dead: 1 });
  expect(await stage.ledger.deadLetters.reopen(batch, [0])).toEqual(['reopened']);
  await cancel(batch);
  expect((await stage.batch(batch)).counts).toMatchObject({ cancelled: 0 });
  await stage.take();
  expect(await stage.batch(batch)).toMatchObject({ counts: { revoked: 1, cancelled: 0 }, confirmedByAbsence: 1 });
});

it.each([false, true])(
  'makes no call of what a process had in hand before its slot, retried: %s',
  async (isRetried) => {
    const batch = await stage.batchOf([item, other]);
    await stage.feed(1, 'stalls');
    await stage.feed();
    if (isRetried) {
      await stage.take(['refused', 'refused']);
      for (const n of [0, 1]) await stage.ledger.deadLetters.reopen(batch, [n]);
      stage.world.calls.splice(0);
    }
    const { process } = await stage.take([], 'slot');
    await cancel(batch);
    expect((await stage.batch(batch)).counts).toMatchObject({ cancelled: 2 });
    await stage.goOn(process);
    await stage.takeIfAny();
    expect(stage.world.calls).toEqual([]);
    expect(await stage.batch(batch)).toMatchObject({ counts: { revoked: 0, cancelled: 2 } });
  },
);

it('ends where Redis has lost its job, though jobs wait to join it, and lets them in then', async () => {
  await stage.addJob('first', item);
  await stage.take([], 'slot');
  await stage.loseJobs();
  await stage.ledger.batches.change(stage.direct, 'cancel');
  await stage.addJob('second', other);
  await stage.take();
  expect(await stage.jobIds()).toEqual(['second']);
  await wait();
  expect((await stage.batch(stage.direct)).counts).toMatchObject({ accepted: 1, cancelled: 1 });
  await stage.take();
  expect((await stage.batch(stage.direct)).counts).toMatchObject({ accepted: 2, cancelled: 1, revoked: 1 });
});

it('is not ended before its job has, though jobs wait to join it', async () => {
  await stage.addJob('first', item);
  await stage.take(['lost-after']);
  await stage.addJob('second', other);
  await cancel(stage.direct);
  expect((await stage.batch(stage.direct)).counts).toMatchObject({ accepted: 1, cancelled: 0 });
  await stage.take();
  await stage.take();
  expect(await stage.batch(stage.direct)).toMatchObject({ confirmedByAbsence: 1, counts: { cancelled: 0 } });
});

it('does not make certificates of jobs that waited to join it its own', async () => {
  stage.world.registered.delete(other.deviceSn);
  await stage.addJob('first', item);
  const first = await stage.take([], 'slot');
  await stage.ledger.batches.change(stage.direct, 'cancel');
  await stage.addJob('second', other);
  await stage.take();
  await stage.goOn(first.process);
  await stage.take();
  const counts = { accepted: 2, cancelled: 1, alreadyGone: 1, revoked: 0 };
  expect(await stage.batch(stage.direct)).toMatchObject({ counts, confirmedByAbsence: 0 });
});
