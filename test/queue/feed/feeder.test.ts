import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Certificate } from '../../../src/core/certificate.ts';
import { parseBlock } from '../../../src/queue/contract.ts';
import { certificatesOf, FeedStage } from './feed-stage.ts';

let stage: FeedStage;
beforeEach(() => {
  stage = new FeedStage();
});
afterEach(() => stage.close());

const range = (to: number, from = 0): number[] => Array.from({ length: to - from }, (_, at) => from + at);

describe('the ramp', () => {
  it('feeds 10, then 100, then all, each step when the one before is settled', async () => {
    const batch = await stage.batchOf(certificatesOf(250));
    const { feeder } = stage.feeder({ lowWater: 1_000 });
    expect(await feeder.feed()).toBe(10);
    expect(await feeder.feed()).toBe(0);
    await stage.work('revoked', 9);
    expect(await feeder.feed()).toBe(0);
    await stage.work('revoked');
    expect(await feeder.feed()).toBe(90);
    await stage.work('revoked', 89);
    expect(await feeder.feed()).toBe(0);
    await stage.work('revoked');
    expect(await feeder.feed()).toBe(150);
    expect(await stage.ordinals(batch)).toEqual(range(250, 100));
    await stage.work('revoked');
    expect((await stage.batch(batch)).state).toBe('completed');
  });

  it('pauses a batch that ends dead, says why once, and is over when an operator resumes it', async () => {
    const batch = await stage.batchOf(certificatesOf(50));
    const { feeder, events } = stage.feeder({ lowWater: 1_000 });
    await feeder.feed();
    await stage.work('dead', 2);
    await stage.work('revoked');
    expect(await feeder.feed()).toBe(0);
    expect(await feeder.feed()).toBe(0);
    expect(events).toEqual([{ kind: 'batch-paused', batch, settled: 10, dead: 2 }]);
    expect((await stage.batch(batch)).pausedBecause).toContain('2 of 10 settled items are dead (20%)');
    await stage.ledger.batches.change(batch, 'resume');
    expect(await feeder.feed()).toBe(40);
  });

  it('is one for all accounts of a batch: their feeders take turns, and none skips a step', async () => {
    const batch = await stage.batchOf(certificatesOf(400, ['post-cn-a', 'post-cn-b']));
    const feeders = ['post-cn-a', 'post-cn-b'].map((id) => stage.feeder({ lowWater: 1_000, owned: [id] }).feeder);
    const feed = async (): Promise<void> => {
      // More often than once: one that has no turn comes back.
      for (let round = 0; round < 3; round += 1) await Promise.all(feeders.map((feeder) => feeder.feed()));
    };
    await feed();
    expect(await stage.ordinals(batch)).toHaveLength(10);
    await stage.work('revoked', 9);
    await feed();
    expect(await stage.ordinals(batch)).toHaveLength(1);
    await stage.work('revoked');
    await feed();
    expect(await stage.ordinals(batch)).toHaveLength(90);
    await stage.work('revoked');
    await feed();
    expect(await stage.ordinals(batch)).toHaveLength(300);
    expect((await stage.batch(batch)).fed).toBe(400);
  });

  it('does not let a halted instance hold up the others: its items count when they are called for', async () => {
    const batch = await stage.batchOf([...certificatesOf(8, ['post-cn-a']), ...certificatesOf(300, ['post-cn-b'])]);
    const { feeder, halted } = stage.feeder({ lowWater: 1_000 });
    const isOfB = ({ instanceId }: Certificate): boolean => instanceId === 'post-cn-b';
    expect(await feeder.feed()).toBe(10);
    halted.add('post-cn-a');
    expect(await feeder.feed()).toBe(8);
    await stage.work('revoked', 300, isOfB);
    expect(await feeder.feed()).toBe(90);
    await stage.work('revoked', 300, isOfB);
    halted.clear();
    await stage.work('revoked');
    expect(await feeder.feed()).toBe(200);
    await stage.work('revoked');
    expect((await stage.batch(batch)).state).toBe('completed');
  });

  it.each([10, 30])('does not keep a retried dead letter of a batch of %d from going on at once', async (size) => {
    const batch = await stage.batchOf(certificatesOf(size));
    const { feeder } = stage.feeder({ lowWater: 1_000 });
    await feeder.feed();
    await stage.work('dead', 1);
    // It is retried before the step is done, so the step waits for it.
    await stage.ledger.deadLetters.reopen(batch, [0]);
    await stage.work('revoked', 9);
    expect(await feeder.feed()).toBe(0);
    expect(await stage.held()).toEqual([]);
    expect(await stage.parked(batch)).toEqual([0]);
    const history = await stage.redis.hget(stage.ledger.keys.of(batch).history, '0');
    expect(JSON.parse(history ?? '')).toMatchObject([{ calls: 1 }]);
    await stage.work('revoked');
    expect(await feeder.feed()).toBe(size - 10);
  });
});

describe('the low-water mark', () => {
  /** Items that are ready to run, of which each queue has so many at most. */
  const ready = async (): Promise<number> => (await stage.held()).length;

  it('is never exceeded, and refilled when a tenth of it is free', async () => {
    const batch = await stage.batchOf(certificatesOf(500));
    const { feeder } = stage.feeder({ lowWater: 120 });
    let most = 0;
    const sizes: number[] = [];
    for (let round = 0; round < 100 && (await stage.batch(batch)).state === 'running'; round += 1) {
      sizes.push(await feeder.feed());
      most = Math.max(most, await ready());
      await stage.work('revoked', 9);
    }
    expect(most).toBeLessThanOrEqual(120);
    expect(most).toBeGreaterThan(105);
    expect((await stage.batch(batch)).counts.revoked).toBe(500);
    // Once it is full, no refill is a trickle; the last one takes what is left.
    const refills = sizes.slice(sizes.findIndex((size) => size > 80)).filter((size) => size > 0);
    expect(Math.min(...refills.slice(0, -1))).toBeGreaterThanOrEqual(12);
  });

  it('holds over all batches together', async () => {
    const batches = [await stage.batchOf(certificatesOf(60)), await stage.batchOf(certificatesOf(60))];
    for (const batch of batches) await stage.withoutRamp(batch);
    const { feeder } = stage.feeder({ lowWater: 80 });
    await feeder.feed();
    expect(await ready()).toBe(80);
  });

  it('of bulk work does not keep urgent work waiting, which has a queue of its own', async () => {
    const bulk = await stage.withoutRamp(await stage.batchOf(certificatesOf(100)));
    const { feeder } = stage.feeder({ lowWater: 50 });
    expect(await feeder.feed()).toBe(50);
    const urgent = await stage.batchOf(certificatesOf(10), 'urgent');
    expect(await feeder.feed()).toBe(10);
    const { urgent: first, bulk: then } = stage.queues.blocks;
    const batches = async (queue: typeof first): Promise<unknown[]> =>
      (await queue.getWaiting()).map(({ data }) => parseBlock(data)?.batch);
    expect([await batches(first), await batches(then)]).toEqual([[urgent], [bulk]]);
  });

  it('is not fed up to while ten times as many wait', async () => {
    const batch = await stage.batchOf(certificatesOf(30));
    const { feeder } = stage.feeder({ lowWater: 3 });
    await stage.ledger.waiting.park(batch, 'post-cn-a', range(30));
    expect(await feeder.feed()).toBe(0);
  });
});

describe('instances', () => {
  it('that are halted are passed over, and fed when the halt is over', async () => {
    const items = certificatesOf(40, ['post-cn-a', 'post-cn-b']);
    const batch = await stage.batchOf(items);
    await stage.withoutRamp(batch);
    const { feeder, halted } = stage.feeder({ lowWater: 100 });
    halted.add('post-cn-a');
    expect(await feeder.feed()).toBe(20);
    const instances = (await stage.held()).map(({ certificate }) => certificate.instanceId);
    expect(new Set(instances)).toEqual(new Set(['post-cn-b']));
    halted.clear();
    expect(await feeder.feed()).toBe(20);
    expect(await stage.ordinals(batch)).toEqual(range(40));
    for (const { n, certificate } of await stage.held()) expect(certificate).toEqual(items[n]);
  });

  it('of another account are left to it', async () => {
    const batch = await stage.batchOf(certificatesOf(20, ['post-cn-a', 'post-cn-elsewhere']));
    const { feeder } = stage.feeder({ lowWater: 100 });
    await feeder.feed();
    expect(await stage.ordinals(batch)).toEqual(range(20).filter((n) => n % 2 === 0));
  });
});

describe('two feeders at once', () => {
  it('feed each item once, and count it once', async () => {
    const batch = await stage.batchOf(certificatesOf(60, ['post-cn-a', 'post-cn-b']));
    const [one, other] = [stage.feeder({ lowWater: 1_000 }), stage.feeder({ lowWater: 1_000 })];
    await Promise.all([one.feeder.feed(), other.feeder.feed()]);
    expect((await stage.batch(batch)).fed).toBe(10);
    expect(await stage.ordinals(batch)).toHaveLength(10);
    for (let round = 0; round < 10 && (await stage.batch(batch)).state === 'running'; round += 1) {
      await stage.work('revoked');
      await Promise.all([one.feeder.feed(), other.feeder.feed()]);
    }
    expect(await stage.batch(batch)).toMatchObject({ state: 'completed', fed: 60, counts: { revoked: 60 } });
  });

  it('that feed once more what was fed before a crash add nothing', async () => {
    const batch = await stage.batchOf(certificatesOf(10));
    await stage.feeder({ lowWater: 100 }).feeder.feed();
    // The crash came before the cursor was written.
    await stage.redis.del(stage.ledger.keys.of(batch).cursors);
    await stage.redis.hset(stage.ledger.keys.of(batch).record, 'fed', 0);
    await stage.feeder({ lowWater: 100 }).feeder.feed();
    expect(await stage.ordinals(batch)).toEqual(range(10));
  });
});

it('feeds no batch that is paused, planned or done', async () => {
  const paused = await stage.batchOf(certificatesOf(5));
  await stage.ledger.batches.change(paused, 'pause');
  await stage.plan(certificatesOf(1_000));
  const { feeder } = stage.feeder({ lowWater: 100 });
  expect(await feeder.feed()).toBe(0);
});

it('says which chunk is missing, and what to do, once a second, and feeds the other batches', async () => {
  const batch = await stage.batchOf(certificatesOf(5));
  const younger = await stage.batchOf(certificatesOf(5));
  await stage.redis.del(stage.ledger.keys.of(batch).chunks);
  const { feeder, events, pass } = stage.feeder({ lowWater: 100 });
  expect(await feeder.feed()).toBe(5);
  expect(await stage.ordinals(younger)).toEqual(range(5));
  await feeder.feed();
  expect(events).toMatchObject([{ kind: 'trouble', during: `feeding batch ${batch}` }]);
  expect(events[0]).toHaveProperty('error.message', expect.stringContaining(`${batch} lacks its chunk 0: cancel it`));
  pass(1_000);
  await feeder.feed();
  expect(events).toHaveLength(2);
});
