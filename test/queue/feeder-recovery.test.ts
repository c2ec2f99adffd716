import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Certificate } from '../../src/core/certificate.ts';
import { reopenDeadLetter, retriesOf } from '../../src/ledger/dead-letters.ts';
import { JOB_NAME } from '../../src/queue/contract.ts';
import { standingBatchOf } from '../../src/queue/item.ts';
import { submitDirect } from '../../src/queue/submit/direct.ts';
import { depart } from '../ledger/ledger-room.ts';
import { ACCOUNT, certificatesOf, FeederStage, type StagedFeeder } from './feeder-stage.ts';

let stage: FeederStage;
beforeEach(() => {
  stage = new FeederStage();
});
afterEach(() => stage.close());

const range = (to: number, from = 0): number[] => Array.from({ length: to - from }, (_, at) => from + at);
/** Longer than an item must be without a job, and than others need to hear of a cancellation. */
const LONG_MS = 10_000;

/** As after an operator's look: no ramp. */
async function withoutRamp(batch: string): Promise<string> {
  await stage.ledger.change(batch, 'pause');
  await stage.ledger.change(batch, 'resume');
  return batch;
}

/** So many rounds that items without a job are seen twice to have none. */
async function wait({ feeder, pass }: StagedFeeder): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    await feeder.feed();
    pass(LONG_MS);
  }
}

/** What the run of each item hears that is about to call. */
async function nextCalls(batch: string, ordinals: readonly number[]): Promise<string[]> {
  const calls: string[] = [];
  for (const n of ordinals) {
    const [retries = 0] = await retriesOf(stage.redis, stage.ledger, batch, [n]);
    calls.push(await depart(stage.redis, stage.ledger, batch, n, { retries }));
  }
  return calls;
}

describe('jobs that Redis lost', () => {
  it('are fed again when they have been missing for some time; those with a call that left, as perhaps called for', async () => {
    const batch = await withoutRamp(await stage.batchOf(certificatesOf(30)));
    const { feeder, events, pass } = stage.feeder({ lowWater: 100 });
    await feeder.feed();
    await stage.work('revoked', 12);
    for (const n of [11, 12, 20]) await depart(stage.redis, stage.ledger, batch, n);
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
    // Their jobs tell nothing of it; the ledger does, to the run that is about to call.
    expect(await nextCalls(batch, [12, 13, 20])).toEqual(['untold', 'none', 'untold']);
    expect((await stage.batch(batch)).fed).toBe(30);
    await stage.work('revoked');
    expect((await stage.batch(batch)).state).toBe('completed');
  });

  it('are fed again in the middle of the ramp too, and what was never fed does not count as called for', async () => {
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
    const paused = await withoutRamp(await stage.batchOf(certificatesOf(3)));
    const batch = await withoutRamp(await stage.batchOf(certificatesOf(20)));
    const staged = stage.feeder({ lowWater: 100 });
    await staged.feeder.feed();
    await stage.ledger.change(paused, 'pause');
    for (const n of [2, 3, 19]) await (await stage.queue.bull.getJob(`${batch}.${n}`))?.remove();
    await wait(staged);
    expect(staged.events).toEqual([{ kind: 'jobs-lost', batch, pending: 3 }]);
    expect(await stage.ordinals(batch)).toEqual(range(20));
    expect((await stage.batch(batch)).fed).toBe(20);
  });

  it('are noticed however far into a large batch they are', async () => {
    const batch = await withoutRamp(await stage.batchOf(certificatesOf(6_010)));
    const staged = stage.feeder({ lowWater: 10_000 });
    await staged.feeder.feed();
    await (await stage.queue.bull.getJob(`${batch}.6005`))?.remove();
    for (let round = 0; round < 3; round += 1) await wait(staged);
    expect(staged.events).toEqual([{ kind: 'jobs-lost', batch, pending: 1 }]);
    expect(await stage.queue.bull.getJob(`${batch}.6005`)).toBeDefined();
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
    for (const item of items) await submitDirect(stage, stage.queue, ACCOUNT, item, 'urgent');
    await stage.work('dead', 1);
    await stage.work('revoked', 1);
    await reopenDeadLetter(stage.redis, stage.ledger, standing, 0);
    const staged = stage.feeder({ lowWater: 100 });
    expect(await staged.feeder.feed()).toBe(1);
    await depart(stage.redis, stage.ledger, standing, 3);
    await stage.loseJobs();
    await wait(staged);
    expect(staged.events).toEqual([{ kind: 'jobs-lost', batch: standing, pending: 3 }]);
    expect(await stage.ordinals(standing)).toEqual([0, 2, 3]);
    expect(await nextCalls(standing, [0, 2, 3])).toEqual(['none', 'none', 'untold']);
    await stage.work('revoked');
    expect((await stage.batch(standing)).state).toBe('completed');
    expect(await stage.ledger.adoptedJobs(standing)).toEqual(new Map());
  });

  it('come back under the ids that their producers gave them, who cannot add second ones beside them', async () => {
    const [item, other] = certificatesOf(2) as [Certificate, Certificate];
    const standing = standingBatchOf(ACCOUNT);
    await stage.ledger.adopt(standing, 'mine', item);
    // The same id for another certificate: its job is there.
    await stage.ledger.adopt(standing, 'mine too', other);
    expect(await stage.ledger.adopt(standing, 'mine too', item)).toMatchObject({ n: 2 });
    await stage.queue.bull.add(JOB_NAME, { v: 1, ...item }, { jobId: 'mine too' });
    const staged = stage.feeder({ lowWater: 100 });
    await wait(staged);
    expect(staged.events).toEqual([{ kind: 'jobs-lost', batch: standing, pending: 1 }]);
    expect(new Set((await stage.jobs()).map(({ id }) => id))).toEqual(new Set(['mine', 'mine too']));
    await stage.queue.bull.add(JOB_NAME, { v: 1, ...item }, { jobId: 'mine' });
    expect(await stage.jobs()).toHaveLength(2);
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

  it('ends although Redis lost its jobs; an item whose call may have worked is followed to its end', async () => {
    const batch = await stage.batchOf(certificatesOf(30));
    const staged = stage.feeder({ lowWater: 100 });
    await staged.feeder.feed();
    await stage.work('revoked', 3);
    await depart(stage.redis, stage.ledger, batch, 5);
    await stage.loseJobs();
    await stage.ledger.change(batch, 'cancel');
    for (let round = 0; round < 2; round += 1) await wait(staged);
    expect((await stage.batch(batch)).counts).toMatchObject({ accepted: 30, revoked: 3, cancelled: 26 });
    expect(await stage.jobs()).toMatchObject([{ id: `${batch}.5` }]);
    expect(await nextCalls(batch, [5])).toEqual(['untold']);
    await stage.work('revoked');
    expect((await stage.batch(batch)).counts).toMatchObject({ revoked: 4, cancelled: 26 });
    expect(await stage.ledger.activeBatches()).toEqual([]);
  });

  it('ends although Redis lost chunks of it; jobs that are there end their own items', async () => {
    const batch = await withoutRamp(await stage.batchOf(certificatesOf(3_005)));
    const staged = stage.feeder({ lowWater: 1_010 });
    await staged.feeder.feed();
    await (await stage.queue.bull.getJob(`${batch}.7`))?.remove();
    await stage.redis.hdel(stage.ledger.keys.of(batch).chunks, '0', '2');
    await stage.ledger.change(batch, 'cancel');
    const later = stage.feeder({ lowWater: 1_010 });
    for (let round = 0; round < 4; round += 1) await wait(later);
    expect((await stage.batch(batch)).counts).toMatchObject({ cancelled: 996 });
    await stage.work('revoked');
    await wait(later);
    expect((await stage.batch(batch)).counts).toMatchObject({ accepted: 3_005, revoked: 1_009, cancelled: 1_996 });
    expect(await stage.ledger.activeBatches()).toEqual([]);
  });
});
