import { afterEach, beforeEach, expect, it } from 'vitest';
import { reopenDeadLetter } from '../../src/ledger/dead-letters.ts';
import { certificatesOf, FeederStage } from './feeder-stage.ts';
import { HandStage } from './hand-stage.ts';
import { World } from './hand.ts';

const ITEMS = certificatesOf(300);
let stage: HandStage;
beforeEach(() => {
  stage = new HandStage(new World(ITEMS.map(({ deviceSn }) => deviceSn)));
});
afterEach(() => stage.close());

it('counts nothing twice where two feed pages of different lengths, so the ramp goes on', async () => {
  const batch = await stage.batchOf(ITEMS);
  // It has handed over eight, and noted none of them.
  await stage.feed(1, 'stalls');
  const { feeder } = stage.feeder({ lowWater: 11 });
  expect(await feeder.feed()).toBe(3);
  await stage.goOnFeeding(0);
  expect((await stage.batch(batch)).fed).toBe(3);
  for (let round = 0; round < 100 && (await stage.batch(batch)).state === 'running'; round += 1) {
    await stage.work('revoked');
    await stage.feed();
  }
  expect(await stage.batch(batch)).toMatchObject({ state: 'completed', fed: 300, counts: { revoked: 300 } });
});

it('ends the round of a feeder that was overtaken, with all batches that it knew', async () => {
  const [first, second] = [await stage.batchOf(ITEMS.slice(0, 4)), await stage.batchOf(ITEMS.slice(4, 8))];
  await stage.feed(1, 'stalls');
  await stage.feeder({ lowWater: 6 }).feeder.feed();
  await stage.goOnFeeding(0);
  expect((await stage.batch(first)).fed).toBe(2);
  expect(await stage.ordinals(second)).toEqual([]);
});

it('does not take a letter for fed that was retried again while a feeder stood still', async () => {
  const batch = await stage.batchOf(ITEMS.slice(0, 1));
  const retry = (): Promise<string> => reopenDeadLetter(stage.redis, stage.ledger, batch, 0);
  await stage.feed();
  await stage.take(['refused']);
  expect(await retry()).toBe('reopened');
  await stage.feed(1, 'stalls');
  await stage.feed();
  await stage.take(['refused']);
  expect(await retry()).toBe('reopened');
  await stage.goOnFeeding(0);
  await stage.feed();
  // At once, not as an item that has lost its job.
  expect((await stage.jobs()).map(({ id }) => id)).toEqual([`${batch}.0.2`]);
});

it('hands nothing over once another process feeds the account', async () => {
  const batch = await stage.batchOf(ITEMS.slice(0, 4));
  const { feeder, events } = stage.feeder({ lowWater: 100, mayGoOn: () => Promise.resolve(false) });
  await feeder.feed();
  expect(events).toEqual([]);
  expect(await stage.jobs()).toEqual([]);
  expect((await stage.batch(batch)).fed).toBe(0);
});

it('hands nothing over once another account has its turn in the ramp that they share', async () => {
  const room = new FeederStage();
  try {
    const batch = await room.batchOf(certificatesOf(40, ['post-cn-a', 'post-cn-elsewhere']));
    const { turn } = room.ledger.keys.of(batch);
    let isTaken = false;
    const { feeder } = room.feeder({
      lowWater: 100,
      owned: ['post-cn-a'],
      halts: () => {
        // Asked when the turn is this feeder's, before it hands anything over.
        if (!isTaken) void room.redis.set(turn, 'another', 'PX', 60_000);
        isTaken = true;
        return false;
      },
    });
    await feeder.feed();
    expect(isTaken).toBe(true);
    expect(await room.jobs()).toEqual([]);
    expect(await room.redis.get(turn)).toBe('another');
  } finally {
    await room.close();
  }
});

it('does not pause again what an operator has resumed since it was judged', async () => {
  const batch = await stage.batchOf(ITEMS.slice(0, 4));
  const judged = await stage.batch(batch);
  for (const event of ['pause', 'resume'] as const) await stage.ledger.change(batch, event);
  expect(await stage.ledger.change(batch, 'pause', 'too many are dead', judged.resumes)).toEqual({
    kind: 'refused',
    state: 'running',
  });
  const { resumes } = await stage.batch(batch);
  expect((await stage.ledger.change(batch, 'pause', 'too many are dead', resumes)).kind).toBe('changed');
});
