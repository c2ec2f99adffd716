import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Certificate } from '../../../src/core/certificate.ts';
import { JOB_NAME, parseBlock } from '../../../src/queue/contract.ts';
import { directBatchOf } from '../../../src/ledger/direct-items.ts';
import { submitDirect } from '../../../src/queue/submit/direct.ts';
import { ACCOUNT, certificatesOf, FeedStage, type StagedFeeder } from './feed-stage.ts';
import { dieCalling, liveRun, nextCalls, noteCalls } from '../note-calls.ts';

let stage: FeedStage;
beforeEach(() => {
  stage = new FeedStage();
});
afterEach(() => stage.close());

const range = (to: number, from = 0): number[] => Array.from({ length: to - from }, (_, at) => from + at);
/** Longer than an item must be without a job, and than others need to hear of a cancellation. */
const LONG_MS = 10_000;

/** So many rounds that items without a job are seen twice to have none. */
async function wait({ feeder, pass }: StagedFeeder): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    await feeder.feed();
    pass(LONG_MS);
  }
}

/** A call of the item is noted by a run that dies with it. */
const depart = (batch: string, n: number): Promise<unknown> => dieCalling(stage.ledger, batch, n, 'post-cn-a');

/** Redis loses the blocks that hold these ordinals. */
async function loseBlocksOf(...ordinals: readonly number[]): Promise<void> {
  for (const job of await stage.jobs()) {
    const { from, to } = parseBlock(job.data) ?? { from: 0, to: 0 };
    if (ordinals.some((n) => n >= from && n < to)) await job.remove();
  }
}

describe('jobs that Redis lost', () => {
  it('leave items that continue when they have been missing for some time; those with a call that left, as perhaps called for', async () => {
    const batch = await stage.withoutRamp(await stage.batchOf(certificatesOf(30)));
    const { feeder, events, pass } = stage.feeder({ lowWater: 100 });
    await feeder.feed();
    await stage.work('revoked', 12);
    for (const n of [11, 12, 20]) await depart(batch, n);
    await stage.loseJobs();
    for (const ms of [4_900, 200, 4_900]) {
      expect(await feeder.feed()).toBe(0);
      pass(ms);
    }
    expect(events).toEqual([]);
    pass(200);
    await feeder.feed();
    expect(events).toEqual([{ kind: 'jobs-lost', batch, pending: 18 }]);
    expect(await stage.ordinals(batch)).toEqual(range(30, 12));
    expect(await stage.parked(batch)).toEqual(range(30, 12));
    // The ledger tells it to the run that is about to call.
    expect(await nextCalls(stage.ledger, batch, 'post-cn-a', [12, 13, 20])).toEqual(['untold', 'none', 'untold']);
    expect((await stage.batch(batch)).fed).toBe(30);
    await stage.work('revoked');
    expect((await stage.batch(batch)).state).toBe('completed');
  });

  it('leave items that continue in the middle of the ramp too, and what was never fed does not count as called for', async () => {
    const batch = await stage.batchOf(certificatesOf(40));
    const staged = stage.feeder({ lowWater: 100 });
    await staged.feeder.feed();
    await stage.work('revoked', 4);
    await stage.loseJobs();
    await wait(staged);
    expect(await stage.ordinals(batch)).toEqual(range(10, 4));
    await stage.work('revoked');
    expect(await staged.feeder.feed()).toBe(30);
  });

  it('are noticed beside jobs that are there, as those of a batch that is paused', async () => {
    const paused = await stage.withoutRamp(await stage.batchOf(certificatesOf(3)));
    const items = certificatesOf(120);
    const batch = await stage.withoutRamp(await stage.batchOf(items));
    const staged = stage.feeder({ lowWater: 200 });
    await staged.feeder.feed();
    await stage.ledger.batches.change(paused, 'pause');
    await stage.work('revoked', 60, (item) => items.some(({ deviceSn }) => deviceSn === item.deviceSn));
    await loseBlocksOf(100);
    await wait(staged);
    expect(staged.events).toEqual([{ kind: 'jobs-lost', batch, pending: 20 }]);
    expect(await stage.parked(batch)).toEqual(range(120, 100));
    expect(await stage.ordinals(batch)).toEqual(range(120, 60));
    expect((await stage.batch(batch)).fed).toBe(120);
  });

  it('are noticed however far into a large batch they are', async () => {
    const batch = await stage.withoutRamp(await stage.batchOf(certificatesOf(6_010)));
    const staged = stage.feeder({ lowWater: 10_000 });
    await staged.feeder.feed();
    await loseBlocksOf(6_005);
    for (let round = 0; round < 3; round += 1) await wait(staged);
    expect(staged.events).toEqual([{ kind: 'jobs-lost', batch, pending: 10 }]);
    expect(await stage.parked(batch)).toEqual(range(6_010, 6_000));
  });

  it('are none while a job is there, or while all that is pending is another account', async () => {
    const batch = await stage.withoutRamp(await stage.batchOf(certificatesOf(20, ['post-cn-a', 'post-cn-elsewhere'])));
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
    const batch = await stage.withoutRamp(await stage.batchOf(certificatesOf(20)));
    const { feeder, events, halted, pass } = stage.feeder({ lowWater: 100 });
    halted.add('post-cn-a');
    for (let round = 0; round < 3; round += 1) {
      await feeder.feed();
      pass(LONG_MS);
    }
    expect(events).toEqual([]);
    halted.clear();
    expect(await feeder.feed()).toBe(20);
    expect(await stage.redis.exists(stage.ledger.keys.of(batch).attempts)).toBe(0);
  });

  it('of a direct batch leave items that continue, beside those that were retried', async () => {
    const items = certificatesOf(4);
    const direct = directBatchOf(ACCOUNT);
    for (const item of items) await submitDirect(stage, stage.queues, ACCOUNT, item, 'urgent');
    await stage.work('dead', 1);
    await stage.work('revoked', 1);
    await stage.ledger.deadLetters.reopen(direct, [0]);
    const staged = stage.feeder({ lowWater: 100 });
    expect(await staged.feeder.feed()).toBe(0);
    await depart(direct, 3);
    await stage.loseJobs();
    await wait(staged);
    expect(staged.events).toEqual([{ kind: 'jobs-lost', batch: direct, pending: 2 }]);
    expect(await stage.parked(direct)).toEqual([0, 2, 3]);
    expect(await nextCalls(stage.ledger, direct, 'post-cn-a', [0, 2, 3])).toEqual(['none', 'none', 'untold']);
    await stage.work('revoked');
    expect((await stage.batch(direct)).state).toBe('completed');
    expect(await stage.ledger.direct.jobs(direct)).toEqual(new Map());
  });

  it('are none where the jobs are there under the ids that their producers gave them', async () => {
    const [item, other] = certificatesOf(2) as [Certificate, Certificate];
    const direct = directBatchOf(ACCOUNT);
    await stage.ledger.direct.adopt(direct, 'mine', item);
    // The same id for another certificate: its job is there.
    await stage.ledger.direct.adopt(direct, 'mine too', other);
    expect(await stage.ledger.direct.adopt(direct, 'mine too', item)).toMatchObject({ n: 2 });
    await stage.queues.direct.add(JOB_NAME, { v: 1, ...item }, { jobId: 'mine too' });
    const staged = stage.feeder({ lowWater: 100 });
    await wait(staged);
    expect(staged.events).toEqual([{ kind: 'jobs-lost', batch: direct, pending: 1 }]);
    expect(await stage.parked(direct)).toEqual([0]);
    // Its producer adds it after all: the item has a job now, which may not call while it waits.
    await stage.queues.direct.add(JOB_NAME, { v: 1, ...item, batch: direct, n: 0, key: 'mine' }, { jobId: 'mine' });
    const run = await liveRun(stage.ledger);
    expect(await noteCalls(stage.ledger, [{ batch: direct, n: 0, instanceId: 'post-cn-a', run }])).toEqual([
      { kind: 'left' },
    ]);
  });

  it('of another account leave its direct batch alone', async () => {
    await stage.ledger.direct.adopt(
      directBatchOf('others'),
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
