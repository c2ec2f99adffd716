import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Certificate } from '../../src/core/certificate.ts';
import { reopenDeadLetter } from '../../src/ledger/dead-letters.ts';
import { letterOf } from '../ledger/ledger-room.ts';
import { certificatesOf } from './feeder-stage.ts';
import { HandStage, MAX_STALLED } from './hand-stage.ts';
import { World } from './hand.ts';

const [item] = certificatesOf(1) as [Certificate];
let stage: HandStage;
let batch: string;
beforeEach(async () => {
  stage = new HandStage(new World([item.deviceSn]));
  batch = await stage.batchOf([item]);
});
afterEach(() => stage.close());

async function retry(): Promise<void> {
  expect(await reopenDeadLetter(stage.redis, stage.ledger, batch, 0)).toBe('reopened');
}

async function expectRevokedByOneCall(): Promise<void> {
  stage.world.calls.splice(0);
  await stage.feed();
  expect((await stage.held()).waiting).toEqual([`${batch}.0.1`]);
  await stage.take();
  expect(stage.world.calls).toHaveLength(1);
  expect((await stage.batch(batch)).counts).toMatchObject({ revoked: 1, dead: 0 });
}

it('is not called for by its first job, which a crash had kept from ending', async () => {
  await stage.feed();
  await stage.take(['refused'], 'ended');
  await stage.loseLock(`${batch}.0`);
  await retry();
  expect((await stage.take()).id).toBe(`${batch}.0`);
  expect(stage.world.calls).toHaveLength(1);
  await expectRevokedByOneCall();
});

it('has one job, though the feeder died before it had noted the first one', async () => {
  await stage.feed(1, 'after');
  await stage.take(['refused']);
  await retry();
  await expectRevokedByOneCall();
});

it('has one job, though Redis lost the one that it was retried as', async () => {
  await stage.feed();
  await stage.take(['refused']);
  await retry();
  await stage.feed();
  await stage.loseJobs();
  for (let round = 0; round < 2; round += 1) {
    await stage.feed();
    stage.passTime();
  }
  await expectRevokedByOneCall();
});

it('is not made dead again by a sweeper that died before it had removed the first job', async () => {
  await stage.feed();
  for (let stall = 0; stall <= MAX_STALLED; stall += 1) {
    await stage.take([], 'slot');
    await stage.loseLock(`${batch}.0`);
  }
  await stage.take();
  expect((await stage.held()).failed).toEqual([`${batch}.0`]);
  await stage.ledger.settle(stage.settlement(batch, 0, 'dead', { letter: JSON.stringify(letterOf(item)) }));
  await retry();
  expect(await stage.sweep()).toEqual({ ids: [`${batch}.0`], isDone: true });
  expect((await stage.batch(batch)).counts).toMatchObject({ dead: 0 });
  await expectRevokedByOneCall();
});
