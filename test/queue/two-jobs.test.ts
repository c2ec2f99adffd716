import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Certificate } from '../../src/core/certificate.ts';
import { deadLetters } from '../../src/ledger/dead-letters.ts';
import { certificatesOf } from './feeder-stage.ts';
import { HandStage } from './hand-stage.ts';
import { World } from './hand.ts';

const [item] = certificatesOf(1) as [Certificate];
const KEY = 'single';
let stage: HandStage;
beforeEach(() => {
  stage = new HandStage(new World([item.deviceSn]));
});
afterEach(() => stage.close());

/** A producer takes a certificate in and stalls; the feeder makes its job; then the producer adds one, too. */
async function twoJobs(): Promise<void> {
  const { n } = await stage.ledger.adopt(stage.standing, KEY, item);
  for (let look = 0; look < 3; look += 1) {
    stage.passTime();
    await stage.feed();
  }
  await stage.queue.feed([{ batch: stage.standing, n, certificate: item, key: KEY }], 'urgent');
  expect((await stage.held()).waiting).toHaveLength(2);
}

/** The deletion was ours, by whichever job. */
async function expectRevoked(): Promise<void> {
  const { counts } = await stage.batch(stage.standing);
  expect(counts).toEqual({ accepted: 1, revoked: 1, alreadyGone: 0, dead: 0, cancelled: 0 });
  expect((await stage.rows(stage.standing)).map(({ outcome }) => outcome)).toEqual(['revoked']);
}

describe('two jobs for one certificate', () => {
  beforeEach(twoJobs);

  it('report as revoked what the first has deleted, when the second is the first to tell', async () => {
    const first = await stage.take([], 'answered');
    expect(stage.world.registered.size).toBe(0);
    await stage.take([]);
    await expectRevoked();
    await stage.goOn(first.process);
    await expectRevoked();
  });

  it('report as revoked what the second has deleted, when the first hears that it is gone', async () => {
    const first = await stage.take([], 'sent');
    const second = await stage.take([], 'answered');
    expect(stage.world.registered.size).toBe(0);
    await stage.goOn(first.process);
    await expectRevoked();
    await stage.goOn(second.process);
    await expectRevoked();
  });

  it('do not let the second one be cancelled while the call of the first is under way', async () => {
    const first = await stage.take([], 'answered');
    await stage.ledger.change(stage.standing, 'cancel');
    await stage.take([]);
    await expectRevoked();
    await stage.goOn(first.process);
    await expectRevoked();
  });

  it('leave a dead letter that says so, where the second one is refused', async () => {
    const first = await stage.take(['lost-after'], 'sent');
    await stage.take(['refused']);
    const letters = [];
    for await (const letter of deadLetters(stage.redis, stage.ledger, { batch: stage.standing })) letters.push(letter);
    expect(letters).toMatchObject([{ code: 'ParameterCheckFailed', effectUnknown: true }]);
    await stage.goOn(first.process);
  });
});

it('a job that can only end dead makes one dead letter, also where its worker dies behind that', async () => {
  for (const [id, data] of Object.entries({ text: 'text', numbers: { v: 1, ...item, deviceSn: 12 } })) {
    await stage.queue.bull.add('revoke', data, { jobId: id, removeOnComplete: true });
    const taken = await stage.take([], 'ended');
    await stage.loseLock(taken.id);
    await stage.take([]);
  }
  expect((await stage.batch(stage.standing)).counts).toMatchObject({ accepted: 2, dead: 2 });
  expect(await stage.held()).toEqual({ waiting: [], active: [], failed: [] });
});

it.each(['closed', 'halted'])(
  'a deletion that nobody wrote down outlives a run that is sent away near its slot: %s',
  async (how) => {
    await stage.addJob('one', item);
    const dead = await stage.take([], 'answered');
    expect(stage.world.registered.size).toBe(0);
    await stage.loseLock(dead.id);
    stage.world.isHalted = how === 'halted';
    await stage.take([], undefined, how === 'closed' ? 'closed' : 'slot');
    stage.world.isHalted = false;
    await stage.take([]);
    await expectRevoked();
  },
);

it('a past that a job made up is not believed after a run that is sent away near its slot', async () => {
  stage.world.registered.clear();
  const { n } = await stage.ledger.adopt(stage.standing, 'one', item);
  const data = { v: 1, ...item, batch: stage.standing, n, trail: { effectUnknown: true } };
  await stage.queue.bull.add('revoke', data, { jobId: 'forged', removeOnComplete: true });
  await stage.take([], undefined, 'closed');
  await stage.take([]);
  expect((await stage.batch(stage.standing)).counts).toMatchObject({ accepted: 1, revoked: 0, alreadyGone: 1 });
});

it('a job that names an item of the direct batch of another account is an item of its own', async () => {
  const theirs = 'direct-other';
  await stage.ledger.adopt(theirs, 'one', item);
  await stage.queue.bull.add(
    'revoke',
    { v: 1, ...item, batch: theirs, n: 0 },
    { jobId: 'mine', removeOnComplete: true },
  );
  await stage.take([]);
  expect((await stage.batch(theirs)).counts).toMatchObject({ accepted: 1, revoked: 0, dead: 0 });
  await expectRevoked();
});
