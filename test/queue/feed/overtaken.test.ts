import { afterEach, beforeEach, expect, it } from 'vitest';
import { StepStage } from '../step-stage.ts';
import { World } from '../world.ts';
import { certificatesOf, FeedStage } from './feed-stage.ts';

const ITEMS = certificatesOf(300);
let stage: StepStage;
beforeEach(() => {
  stage = new StepStage(new World(ITEMS.map(({ deviceSn }) => deviceSn)));
});
afterEach(() => stage.close());

it('counts nothing twice where two feed pages of different lengths, so the ramp continues', async () => {
  const batch = await stage.batchOf(ITEMS);
  // It has handed over ten, and noted none of them; the other one has room for six.
  await stage.feed(1, 'stalls');
  const { feeder } = stage.feeder({ lowWater: 56 });
  expect(await feeder.feed()).toBe(6);
  await stage.goOnFeeding();
  expect((await stage.batch(batch)).fed).toBe(6);
  for (let round = 0; round < 100 && (await stage.batch(batch)).state === 'running'; round += 1) {
    // One of them waits until the feeder has noted all of it.
    for (let jobs = (await stage.jobs()).length; jobs > 0; jobs -= 1) await stage.take();
    await stage.feed();
  }
  expect(await stage.batch(batch)).toMatchObject({ state: 'completed', fed: 300, counts: { revoked: 300 } });
  expect(stage.world.calls).toHaveLength(300);
});

it('ends the round of a feeder that was overtaken, with all batches that it knew', async () => {
  const [first, second] = [await stage.batchOf(ITEMS.slice(0, 10)), await stage.batchOf(ITEMS.slice(10, 14))];
  await stage.feed(1, 'stalls');
  await stage.feeder({ lowWater: 56 }).feeder.feed();
  await stage.goOnFeeding();
  expect((await stage.batch(first)).fed).toBe(6);
  expect(await stage.ordinals(second)).toEqual([]);
});

it.each([
  ['before', 'stalls-before'],
  ['after', 'stalls'],
] as const)(
  'does not call twice for what was retried while a feeder stood still, %s it had added the block',
  async (_when, stop) => {
    const batch = await stage.batchOf(ITEMS.slice(0, 1));
    const retry = (): Promise<unknown> => stage.ledger.deadLetters.reopen(batch, [0]);
    await stage.feed(1, stop);
    await stage.feed();
    await stage.take(['refused']);
    expect(await retry()).toEqual(['reopened']);
    await stage.take(['refused'], undefined, { from: 'waiting' });
    expect(await retry()).toEqual(['reopened']);
    await stage.goOnFeeding();
    stage.world.calls.splice(0);
    // The block is there again, and the item waits.
    const { process } = await stage.take([], 'answered', { from: 'waiting' });
    await stage.takeIfAny();
    await stage.goOn(process);
    expect(stage.world.calls).toHaveLength(1);
    expect(await stage.batch(batch)).toMatchObject({ state: 'completed', counts: { revoked: 1 } });
  },
);

it('hands nothing over once another process feeds the account', async () => {
  const batch = await stage.batchOf(ITEMS.slice(0, 4));
  const { feeder, events } = stage.feeder({ lowWater: 100, mayGoOn: () => Promise.resolve(false) });
  await feeder.feed();
  expect(events).toEqual([]);
  expect(await stage.jobs()).toEqual([]);
  expect((await stage.batch(batch)).fed).toBe(0);
});

it('hands nothing over once another account has its turn in the ramp that they share', async () => {
  const room = new FeedStage();
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
  for (const event of ['pause', 'resume'] as const) await stage.ledger.batches.change(batch, event);
  expect(
    await stage.ledger.batches.change(batch, 'pause', { pausedBecause: 'too many are dead', resumes: judged.resumes }),
  ).toEqual({
    kind: 'refused',
    state: 'running',
  });
  const { resumes } = await stage.batch(batch);
  expect(
    (await stage.ledger.batches.change(batch, 'pause', { pausedBecause: 'too many are dead', resumes })).kind,
  ).toBe('changed');
});
