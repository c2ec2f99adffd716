import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Certificate } from '../../../src/core/certificate.ts';
import { certificatesOf, FeedStage, INSTANCES, type StagedFeeder } from './feed-stage.ts';
import { dieCalling, liveRun, nextCalls, noteCalls } from '../note-calls.ts';

let stage: FeedStage;
beforeEach(() => {
  stage = new FeedStage();
});
afterEach(() => stage.close());

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

describe('a cancelled batch', () => {
  it('is cleared at once of what nobody has called for, also of what was handed over', async () => {
    const batch = await stage.batchOf(certificatesOf(2_300, INSTANCES));
    const { feeder } = stage.feeder({ lowWater: 1_000 });
    await feeder.feed();
    const run = await liveRun(stage.ledger);
    expect(await noteCalls(stage.ledger, [{ batch, n: 4, instanceId: 'post-cn-a', run }])).toMatchObject([
      { kind: 'go' },
    ]);
    await stage.ledger.batches.change(batch, 'cancel');
    expect(await feeder.feed()).toBe(0);
    expect((await stage.batch(batch)).counts).toMatchObject({ cancelled: 2_299, revoked: 0 });
    // The call that was under way ends as it does.
    const [certificate] = certificatesOf(1) as [Certificate];
    await stage.end({ batch, n: 4, certificate }, 'revoked');
    const done = await stage.batch(batch);
    expect(done).toMatchObject({ state: 'cancelled', counts: { accepted: 2_300, revoked: 1, cancelled: 2_299 } });
    expect(await stage.ledger.batches.active()).toEqual([]);
  });

  it('is cleared of what had a call under way that came back without effect, though nobody takes it any more', async () => {
    const batch = await stage.batchOf(certificatesOf(5));
    const { feeder, pass } = stage.feeder({ lowWater: 100 });
    await feeder.feed();
    const run = await liveRun(stage.ledger);
    await noteCalls(stage.ledger, [{ batch, n: 2, instanceId: 'post-cn-a', run }]);
    await stage.ledger.batches.change(batch, 'cancel');
    await feeder.feed();
    expect((await stage.batch(batch)).counts.cancelled).toBe(4);
    const end = { kind: 'wait', delayMs: 600_000, attempt: { failures: 1, calls: 1, effectUnknown: false } } as const;
    await stage.ledger.items.report(batch, [{ n: 2, instanceId: 'post-cn-a', run, end }]);
    for (let round = 0; round < 3; round += 1) {
      pass(LONG_MS);
      await feeder.feed();
    }
    expect((await stage.batch(batch)).counts.cancelled).toBe(5);
    expect(await stage.ledger.batches.active()).toEqual([]);
  });

  it('keeps what other accounts have of it for them', async () => {
    const batch = await stage.batchOf(certificatesOf(20, ['post-cn-a', 'post-cn-elsewhere']));
    const { feeder, pass } = stage.feeder({ lowWater: 100 });
    await stage.ledger.batches.change(batch, 'cancel');
    for (let round = 0; round < 2; round += 1) {
      await feeder.feed();
      pass(LONG_MS);
    }
    expect((await stage.batch(batch)).counts.cancelled).toBe(10);
    await stage.feeder({ lowWater: 100, owned: ['post-cn-elsewhere'] }).feeder.feed();
    expect((await stage.batch(batch)).counts.cancelled).toBe(20);
  });

  it('is cleared of retried dead letters that wait', async () => {
    const batch = await stage.batchOf(certificatesOf(2));
    const { feeder } = stage.feeder({ lowWater: 100 });
    await feeder.feed();
    await stage.work('dead', 1);
    await stage.work('revoked', 1);
    await stage.ledger.deadLetters.reopen(batch, [0]);
    await stage.ledger.batches.change(batch, 'cancel');
    await feeder.feed();
    expect((await stage.batch(batch)).counts).toMatchObject({ dead: 0, revoked: 1, cancelled: 1 });
    expect(await stage.ledger.batches.active()).toEqual([]);
  });

  it('ends although Redis lost its jobs; an item whose call may have worked is followed to its end', async () => {
    const batch = await stage.batchOf(certificatesOf(30));
    const staged = stage.feeder({ lowWater: 100 });
    await staged.feeder.feed();
    await stage.work('revoked', 3);
    await depart(batch, 5);
    await stage.loseJobs();
    await stage.ledger.batches.change(batch, 'cancel');
    for (let round = 0; round < 2; round += 1) await wait(staged);
    expect((await stage.batch(batch)).counts).toMatchObject({ accepted: 30, revoked: 3, cancelled: 26 });
    expect(await stage.jobs()).toEqual([]);
    expect(await stage.parked(batch)).toEqual([5]);
    expect(await nextCalls(stage.ledger, batch, 'post-cn-a', [5])).toEqual(['untold']);
    await stage.work('revoked');
    expect((await stage.batch(batch)).counts).toMatchObject({ revoked: 4, cancelled: 26 });
    expect(await stage.ledger.batches.active()).toEqual([]);
  });

  it('ends although Redis lost chunks of it, whatever was called for of these', async () => {
    const batch = await stage.withoutRamp(await stage.batchOf(certificatesOf(3_005)));
    await stage.feeder({ lowWater: 1_010 }).feeder.feed();
    await stage.work('revoked', 904);
    await depart(batch, 1_005);
    await stage.redis.hdel(stage.ledger.keys.of(batch).chunks, '0', '2');
    await stage.ledger.batches.change(batch, 'cancel');
    const later = stage.feeder({ lowWater: 1_010 });
    for (let round = 0; round < 4; round += 1) await wait(later);
    // Of a chunk that is there, what may have worked is followed to its end.
    expect((await stage.batch(batch)).counts).toMatchObject({ revoked: 904, cancelled: 96 + 999 + 5 });
    await stage.work('revoked');
    await wait(later);
    expect((await stage.batch(batch)).counts).toMatchObject({ accepted: 3_005, revoked: 905, cancelled: 2_100 });
    expect(await stage.ledger.batches.active()).toEqual([]);
  });
});
