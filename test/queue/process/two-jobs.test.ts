import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Certificate } from '../../../src/core/certificate.ts';
import { certificatesOf } from '../feed/feed-stage.ts';
import type { Taken } from '../hand-stage.ts';
import { StepStage } from '../step-stage.ts';
import { World, type AnswerKind } from '../world.ts';

const [item] = certificatesOf(1) as [Certificate];
const KEY = 'single';
let stage: StepStage;
beforeEach(() => {
  stage = new StepStage(new World([item.deviceSn]));
});
afterEach(() => stage.close());

/** A producer takes a certificate in and stalls; the feeder has the item wait; then the producer adds its job, too. */
async function jobAndWaiting(): Promise<void> {
  const { n } = await stage.ledger.direct.adopt(stage.direct, KEY, item);
  for (let look = 0; look < 3; look += 1) {
    stage.passTime();
    await stage.feed();
  }
  expect(await stage.parked(stage.direct)).toEqual([n]);
  await stage.queues.addDirect({ batch: stage.direct, n, certificate: item, key: KEY }, 'urgent');
  expect(await stage.jobIds()).toHaveLength(1);
}

/** A job calls for an item that the feeder had found lost just before the job was added. */
async function jobThatCalls(answers: readonly AnswerKind[], stopAt: 'sent' | 'answered'): Promise<Taken> {
  await stage.addJob(KEY, item);
  const first = await stage.take(answers, stopAt);
  await stage.ledger.waiting.park(stage.direct, item.instanceId, [0]);
  return first;
}

/** The deletion was ours, by whichever job. */
async function expectRevoked(): Promise<void> {
  const { counts } = await stage.batch(stage.direct);
  expect(counts).toEqual({ accepted: 1, revoked: 1, alreadyGone: 0, dead: 0, cancelled: 0 });
  expect((await stage.rows(stage.direct)).map(({ outcome }) => outcome)).toEqual(['revoked']);
}

describe('a job and a waiting item for one certificate', () => {
  it('make one call, whichever comes first', async () => {
    await jobAndWaiting();
    const waiting = await stage.take([], 'answered', { from: 'waiting' });
    expect(stage.world.registered.size).toBe(0);
    await stage.take([], undefined, { from: 'queue' });
    await stage.goOn(waiting.process);
    await expectRevoked();
    expect(stage.world.calls).toHaveLength(1);
    expect([await stage.jobIds(), await stage.parked(stage.direct)]).toEqual([[], []]);
  });

  it('make one call where the job ends before the item is taken', async () => {
    await jobAndWaiting();
    await stage.take([], undefined, { from: 'queue' });
    expect(stage.world.calls).toEqual([]);
    await stage.take();
    await expectRevoked();
  });

  it.each(['sent', 'answered'] as const)('make one call where that of the job is under way: %s', async (point) => {
    const job = await jobThatCalls([], point);
    await stage.take([], undefined, { from: 'waiting' });
    await stage.goOn(job.process);
    await expectRevoked();
    expect(stage.world.calls).toHaveLength(1);
  });

  it('report as revoked what the job has deleted whose worker died', async () => {
    const job = await jobThatCalls([], 'answered');
    await stage.loseLock(job.id);
    await stage.take([], undefined, { from: 'waiting' });
    await expectRevoked();
    await stage.goOn(job.process);
    await expectRevoked();
  });

  it('report as revoked what the second has deleted, when the first hears that it is gone', async () => {
    const job = await jobThatCalls([], 'sent');
    await stage.loseLock(job.id);
    const waiting = await stage.take([], 'answered', { from: 'waiting' });
    expect(stage.world.registered.size).toBe(0);
    await stage.goOn(job.process);
    expect((await stage.batch(stage.direct)).counts).toMatchObject({ revoked: 0, alreadyGone: 0 });
    await stage.goOn(waiting.process);
    await expectRevoked();
  });

  it('are not cancelled while the call of one is under way', async () => {
    const job = await jobThatCalls([], 'answered');
    await stage.ledger.batches.change(stage.direct, 'cancel');
    await stage.feed();
    await stage.take([], undefined, { from: 'waiting' });
    await stage.goOn(job.process);
    await expectRevoked();
  });

  it('leave a dead letter that says so, where the second one is refused', async () => {
    const job = await jobThatCalls(['lost-after'], 'sent');
    await stage.loseLock(job.id);
    await stage.take(['refused'], undefined, { from: 'waiting' });
    const letters = [];
    for await (const letter of stage.ledger.deadLetters.list({ batch: stage.direct })) letters.push(letter);
    expect(letters).toMatchObject([{ code: 'ParameterCheckFailed', effectUnknown: true }]);
    await stage.goOn(job.process);
  });
});

it('a job that can only end dead makes one dead letter, also where its worker dies behind that', async () => {
  for (const [id, data] of Object.entries({ text: 'text', numbers: { v: 1, ...item, deviceSn: 12 } })) {
    await stage.queues.direct.add('revoke', data, { jobId: id, removeOnComplete: true });
    const taken = await stage.take([], 'ended');
    await stage.loseLock(taken.id);
    await stage.take([]);
  }
  expect((await stage.batch(stage.direct)).counts).toMatchObject({ accepted: 2, dead: 2 });
  expect([await stage.jobIds(), await stage.parked(stage.direct)]).toEqual([[], []]);
});

it.each(['closed', 'halted'])(
  'a deletion that nobody wrote down outlives a run that is sent away near its slot: %s',
  async (how) => {
    await stage.addJob('one', item);
    const dead = await stage.take([], 'answered');
    expect(stage.world.registered.size).toBe(0);
    await stage.loseLock(dead.id);
    stage.world.isHalted = how === 'halted';
    await stage.take([], undefined, { grant: how === 'closed' ? 'closed' : 'slot' });
    stage.world.isHalted = false;
    await stage.take([]);
    await expectRevoked();
  },
);

it('a past that a job made up is not believed after a run that is sent away near its slot', async () => {
  stage.world.registered.clear();
  const { n } = await stage.ledger.direct.adopt(stage.direct, 'one', item);
  const data = { v: 1, ...item, batch: stage.direct, n, trail: { effectUnknown: true } };
  await stage.queues.direct.add('revoke', data, { jobId: 'forged', removeOnComplete: true });
  await stage.take([], undefined, { grant: 'closed' });
  await stage.take([]);
  expect((await stage.batch(stage.direct)).counts).toMatchObject({ accepted: 1, revoked: 0, alreadyGone: 1 });
});

it('a job that names an item of the direct batch of another account is an item of its own', async () => {
  const theirs = 'direct-other';
  await stage.ledger.direct.adopt(theirs, 'one', item);
  await stage.queues.direct.add(
    'revoke',
    { v: 1, ...item, batch: theirs, n: 0 },
    { jobId: 'mine', removeOnComplete: true },
  );
  await stage.take([]);
  expect((await stage.batch(theirs)).counts).toMatchObject({ accepted: 1, revoked: 0, dead: 0 });
  await expectRevoked();
});
