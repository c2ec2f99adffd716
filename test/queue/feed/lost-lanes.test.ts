import { afterEach, beforeEach, expect, it } from 'vitest';
import { certificatesOf, FeedStage, INSTANCES, type StagedFeeder } from './feed-stage.ts';

/** Longer than an item must be without a job, and than others need to hear of a cancellation. */
const LONG_MS = 10_000;

let stage: FeedStage;
beforeEach(() => {
  stage = new FeedStage();
});
afterEach(() => stage.close());

/** Goes on until nothing pends, in far more rounds than that takes. */
async function drain(batch: string, { feeder, pass }: StagedFeeder): Promise<void> {
  for (let round = 0; round < 40 && (await stage.ledger.batches.active()).length > 0; round += 1) {
    await feeder.feed();
    await stage.work('revoked');
    pass(LONG_MS);
  }
  const ordinals = (await stage.rows(batch)).map(({ ordinal }) => ordinal);
  const { accepted } = (await stage.batch(batch)).counts;
  expect(ordinals.toSorted((a, b) => a - b)).toEqual(Array.from({ length: accepted }, (_, n) => n));
}

it.each(['lanes', 'cursors'] as const)(
  'continues where Redis has lost the %s of a batch, and says so once',
  async (key) => {
    const batch = await stage.batchOf(certificatesOf(2_300, INSTANCES));
    for (const event of ['pause', 'resume'] as const) await stage.ledger.batches.change(batch, event);
    await stage.feeder({ lowWater: 1_300 }).feeder.feed();
    await stage.work('revoked', 700);
    const lanes = await stage.ledger.lanes.of(batch);
    await stage.redis.del(stage.ledger.keys.of(batch)[key]);
    const staged = stage.feeder({ lowWater: 1_300 });
    await drain(batch, staged);
    expect(staged.events).toEqual([{ kind: 'lanes-lost', batch, key }]);
    expect(await stage.batch(batch)).toMatchObject({ state: 'completed', fed: 2_300, counts: { revoked: 2_300 } });
    const ranges = (await stage.ledger.lanes.of(batch)).map(({ instanceId, chunks }) => ({ instanceId, chunks }));
    expect(ranges).toEqual(lanes.map(({ instanceId, chunks }) => ({ instanceId, chunks })));
  },
);

it.each([10, 60])(
  'waits for no step of the ramp in vain where it has lost cursors and jobs, after %d items',
  async (fed) => {
    const batch = await stage.batchOf(certificatesOf(150));
    const staged = stage.feeder({ lowWater: 1_000 });
    await staged.feeder.feed();
    if (fed > 10) {
      await stage.work('revoked');
      await staged.feeder.feed();
      await stage.work('revoked', fed - 10);
    }
    await stage.loseJobs();
    await stage.redis.del(stage.ledger.keys.of(batch).cursors);
    await drain(batch, staged);
    expect(await stage.batch(batch)).toMatchObject({ state: 'completed', fed: 150, counts: { revoked: 150 } });
  },
);

it('reads a large batch again in several rounds, while others are fed', async () => {
  const large = await stage.batchOf(certificatesOf(51_001));
  const other = await stage.batchOf(certificatesOf(5));
  await stage.redis.del(stage.ledger.keys.of(large).lanes);
  const { feeder } = stage.feeder({ lowWater: 100 });
  expect(await feeder.feed()).toBe(5);
  expect(await stage.ordinals(other)).toHaveLength(5);
  expect(await feeder.feed()).toBe(10);
  expect(await stage.ledger.lanes.of(large)).toMatchObject([{ instanceId: 'post-cn-a', chunks: [[0, 51]] }]);
});

it('says which chunk is missing where that is lost too, unless all of it has ended', async () => {
  const batch = await stage.batchOf(certificatesOf(1_005));
  const { record, chunks, lanes, settled } = stage.ledger.keys.of(batch);
  await stage.redis.del(lanes);
  await stage.redis.hdel(chunks, '0');
  const { feeder, events, pass } = stage.feeder({ lowWater: 100 });
  await feeder.feed();
  expect(events[1]).toHaveProperty('error.message', expect.stringContaining(`${batch} lacks its chunk 0: cancel it`));
  for (let n = 0; n < 1_000; n += 1) await stage.redis.setbit(settled, n, 1);
  await stage.redis.hset(record, 'revoked', 1_000);
  pass(LONG_MS);
  expect(await feeder.feed()).toBe(5);
});

it.each([false, true])('ends a cancelled batch whose lanes are lost, the chunks too: %s', async (isAllLost) => {
  const batch = await stage.batchOf(certificatesOf(2_005, INSTANCES));
  const { lanes, chunks } = stage.ledger.keys.of(batch);
  await stage.redis.del(lanes);
  if (isAllLost) await stage.redis.del(chunks);
  await stage.ledger.batches.change(batch, 'cancel');
  const { feeder, pass } = stage.feeder({ lowWater: 100 });
  for (let round = 0; round < 8; round += 1) {
    await feeder.feed();
    pass(LONG_MS);
  }
  expect((await stage.batch(batch)).counts.cancelled).toBe(2_005);
});
