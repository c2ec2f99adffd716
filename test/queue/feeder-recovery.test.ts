import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { reopenDeadLetter } from '../../src/ledger/dead-letters.ts';
import { standingBatchOf } from '../../src/queue/item.ts';
import { submitSingle } from '../../src/queue/single.ts';
import { ACCOUNT, certificatesOf, FeederStage } from './feeder-stage.ts';

let stage: FeederStage;
beforeEach(() => {
  stage = new FeederStage();
});
afterEach(() => stage.close());

const range = (to: number, from = 0): number[] => Array.from({ length: to - from }, (_, at) => from + at);
/** Longer than a queue must be empty, and than others need to hear of a cancellation. */
const LONG_MS = 10_000;

/** As after an operator's look: no ramp. */
async function withoutRamp(batch: string): Promise<string> {
  await stage.ledger.change(batch, 'pause');
  await stage.ledger.change(batch, 'resume');
  return batch;
}

describe('jobs that Redis lost', () => {
  it('are fed again once the queue was empty for some time, as perhaps called for', async () => {
    const batch = await withoutRamp(await stage.batchOf(certificatesOf(30)));
    const { feeder, events, pass } = stage.feeder({ lowWater: 100 });
    await feeder.feed();
    await stage.work('revoked', 12);
    await stage.loseJobs();
    expect(await feeder.feed()).toBe(0);
    pass(4_900);
    expect(await feeder.feed()).toBe(0);
    expect(events).toEqual([]);
    pass(200);
    await feeder.feed();
    expect(events).toEqual([{ kind: 'jobs-lost', batch, pending: 18 }]);
    expect(await feeder.feed()).toBe(18);
    expect(await stage.ordinals(batch)).toEqual(range(30, 12));
    for (const { data } of await stage.jobs()) expect(data.trail?.effectUnknown).toBe(true);
    expect((await stage.batch(batch)).fed).toBe(30);
    await stage.work('revoked');
    expect((await stage.batch(batch)).state).toBe('completed');
  });

  it('are fed again in the middle of the ramp too, and what was never fed does not count as called for', async () => {
    const batch = await stage.batchOf(certificatesOf(40));
    const { feeder, pass } = stage.feeder({ lowWater: 100 });
    await feeder.feed();
    await stage.work('revoked', 4);
    await stage.loseJobs();
    await feeder.feed();
    pass(LONG_MS);
    await feeder.feed();
    expect(await feeder.feed()).toBe(6);
    expect(await stage.ordinals(batch)).toEqual(range(10, 4));
    await stage.work('revoked');
    expect(await feeder.feed()).toBe(30);
    for (const { data } of await stage.jobs()) expect(data.trail?.effectUnknown ?? false).toBe(false);
  });

  it('are none while a job is there, or while all that is pending is another account', async () => {
    const batch = await withoutRamp(await stage.batchOf(certificatesOf(20, ['post-cn-a', 'post-cn-elsewhere'])));
    const { feeder, events, pass } = stage.feeder({ lowWater: 100 });
    await feeder.feed();
    pass(LONG_MS);
    await feeder.feed();
    await stage.work('revoked');
    for (let round = 0; round < 3; round += 1) {
      await feeder.feed();
      pass(LONG_MS);
    }
    expect(events).toEqual([]);
    expect((await stage.batch(batch)).counts.revoked).toBe(10);
  });

  it('are none when all that is pending waits for the end of a halt', async () => {
    await withoutRamp(await stage.batchOf(certificatesOf(20)));
    const { feeder, events, halted, pass } = stage.feeder({ lowWater: 100 });
    halted.add('post-cn-a');
    for (let round = 0; round < 3; round += 1) {
      await feeder.feed();
      pass(LONG_MS);
    }
    expect(events).toEqual([]);
    halted.clear();
    expect(await feeder.feed()).toBe(20);
    for (const { data } of await stage.jobs()) expect(data.trail).toBeUndefined();
  });

  it('of a standing batch are fed again, those that were retried too', async () => {
    const items = certificatesOf(4);
    const standing = standingBatchOf(ACCOUNT);
    for (const item of items) await submitSingle(stage.ledger, stage.queue, ACCOUNT, item, 'urgent');
    await stage.work('dead', 1);
    await stage.work('revoked', 1);
    await reopenDeadLetter(stage.redis, stage.ledger, standing, 0);
    const { feeder, events, pass } = stage.feeder({ lowWater: 100 });
    expect(await feeder.feed()).toBe(1);
    await stage.loseJobs();
    await feeder.feed();
    pass(LONG_MS);
    await feeder.feed();
    expect(events).toEqual([{ kind: 'jobs-lost', batch: standing, pending: 3 }]);
    expect(await stage.ordinals(standing)).toEqual([0, 2, 3]);
    for (const { data } of await stage.jobs()) expect(data.trail?.effectUnknown).toBe(true);
    await stage.work('revoked');
    expect((await stage.batch(standing)).state).toBe('completed');
    expect(await stage.ledger.adoptedJobs(standing)).toEqual(new Map());
  });

  it('of another account leave its standing batch alone', async () => {
    await stage.ledger.adopt(
      standingBatchOf('others'),
      'job',
      certificatesOf(1)[0] ?? { instanceId: '', caSn: '', deviceSn: '' },
    );
    const { feeder, events, pass } = stage.feeder({ lowWater: 100 });
    await feeder.feed();
    pass(LONG_MS);
    expect(await feeder.feed()).toBe(0);
    expect(events).toEqual([]);
  });
});

describe('a cancelled batch', () => {
  it('is cleared of what was never fed, after others have heard of it; jobs settle their own items', async () => {
    const batch = await stage.batchOf(certificatesOf(2_300, ['post-cn-a', 'post-cn-b']));
    const { feeder, pass } = stage.feeder({ lowWater: 1_000 });
    await feeder.feed();
    await stage.ledger.change(batch, 'cancel');
    expect(await feeder.feed()).toBe(0);
    expect((await stage.batch(batch)).counts.cancelled).toBe(0);
    pass(LONG_MS);
    for (let round = 0; round < 5; round += 1) await feeder.feed();
    expect((await stage.batch(batch)).counts).toMatchObject({ cancelled: 2_290, revoked: 0 });
    await stage.work('revoked');
    const done = await stage.batch(batch);
    expect(done).toMatchObject({ state: 'cancelled', counts: { accepted: 2_300, revoked: 10, cancelled: 2_290 } });
    expect(await stage.ledger.activeBatches()).toEqual([]);
  });

  it('keeps what other accounts have of it for them', async () => {
    const batch = await stage.batchOf(certificatesOf(20, ['post-cn-a', 'post-cn-elsewhere']));
    const { feeder, pass } = stage.feeder({ lowWater: 100 });
    await stage.ledger.change(batch, 'cancel');
    await feeder.feed();
    pass(LONG_MS);
    await feeder.feed();
    expect((await stage.batch(batch)).counts.cancelled).toBe(10);
    const others = stage.feeder({ lowWater: 100, owned: ['post-cn-elsewhere'] });
    await others.feeder.feed();
    others.pass(LONG_MS);
    await others.feeder.feed();
    expect((await stage.batch(batch)).counts.cancelled).toBe(20);
  });

  it('is cleared of retried dead letters that no job stands for', async () => {
    const batch = await stage.batchOf(certificatesOf(2));
    const { feeder, pass } = stage.feeder({ lowWater: 100 });
    await feeder.feed();
    await stage.work('dead', 1);
    await reopenDeadLetter(stage.redis, stage.ledger, batch, 0);
    await stage.ledger.change(batch, 'cancel');
    await feeder.feed();
    pass(LONG_MS);
    await feeder.feed();
    expect((await stage.batch(batch)).counts).toMatchObject({ dead: 0, cancelled: 1 });
    await stage.work('revoked');
    expect((await stage.batch(batch)).counts).toMatchObject({ revoked: 1, cancelled: 1 });
  });

  it('ends although Redis lost its jobs', async () => {
    const batch = await stage.batchOf(certificatesOf(30));
    const { feeder, pass } = stage.feeder({ lowWater: 100 });
    await feeder.feed();
    await stage.work('revoked', 3);
    await stage.loseJobs();
    await stage.ledger.change(batch, 'cancel');
    for (let round = 0; round < 4; round += 1) {
      await feeder.feed();
      pass(LONG_MS);
    }
    expect((await stage.batch(batch)).counts).toMatchObject({ accepted: 30, revoked: 3, cancelled: 27 });
    expect(await stage.ledger.activeBatches()).toEqual([]);
  });
});
