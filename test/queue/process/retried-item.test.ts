import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Certificate } from '../../../src/core/certificate.ts';
import { ChunkReader } from '../../../src/ledger/chunk-reader.ts';
import { BatchStateCache } from '../../../src/queue/batch-state-cache.ts';
import { JobResolver } from '../../../src/queue/process/resolve-job.ts';
import { ACCOUNT, certificatesOf } from '../feed/feed-stage.ts';
import { rescueFailed } from '../../../src/queue/worker/job-rescuer.ts';
import { StepStage } from '../step-stage.ts';
import { World } from '../world.ts';

const [item] = certificatesOf(1) as [Certificate];
let stage: StepStage;
let batch: string;
beforeEach(async () => {
  stage = new StepStage(new World([item.deviceSn]));
  batch = await stage.batchOf([item]);
});
afterEach(() => stage.close());

async function retry(): Promise<void> {
  expect(await stage.ledger.deadLetters.reopen(batch, [0])).toEqual(['reopened']);
}

async function expectRevokedByOneCall(): Promise<void> {
  stage.world.calls.splice(0);
  await stage.feed();
  expect(await stage.parked(batch)).toEqual([0]);
  while ((await stage.takeIfAny()) !== undefined);
  expect(stage.world.calls).toHaveLength(1);
  expect((await stage.batch(batch)).counts).toMatchObject({ revoked: 1, dead: 0 });
  expect(await stage.jobIds()).toEqual([]);
}

it('is not called for by its block, which a crash had kept from ending', async () => {
  await stage.feed();
  const { id } = await stage.take(['refused'], 'ended');
  await stage.loseLock(id);
  await retry();
  expect((await stage.take()).id).toBe(id);
  expect(stage.world.calls).toHaveLength(1);
  await expectRevokedByOneCall();
});

it('is called for once, though the feeder died before it had noted the block', async () => {
  await stage.feed(1, 'stalls');
  await stage.feed();
  await stage.take(['refused']);
  await retry();
  await expectRevokedByOneCall();
});

it('is called for once, though Redis lost what it waited in', async () => {
  await stage.feed();
  await stage.take(['refused']);
  await retry();
  await stage.loseJobs();
  await stage.redis.del(stage.ledger.keys.waiting(item.instanceId));
  for (let round = 0; round < 3; round += 1) {
    await stage.feed();
    stage.passTime();
  }
  await expectRevokedByOneCall();
});

it('is not made dead again where its first block is given up', async () => {
  await stage.feed();
  const { id } = await stage.take(['refused'], 'ended');
  await retry();
  const block = await stage.queues.blocks.bulk.getJob(id);
  if (block === undefined) throw new Error('there is no block');
  await block.moveToFailed(new Error('job stalled more than allowable limit'), 'process-1');
  const states = new BatchStateCache(stage.ledger);
  const chunks = new ChunkReader(stage.ledger);
  const resolver = new JobResolver(stage.ledger, chunks, states, ACCOUNT);
  const items = { endDead: () => Promise.reject(new Error('an item of a block is not ended')) };
  const { ledger, queues } = stage;
  expect(await rescueFailed({ ledger, chunks, states, queues, resolver, items })).toBe(1);
  expect((await stage.batch(batch)).counts).toMatchObject({ dead: 0 });
  await expectRevokedByOneCall();
});
