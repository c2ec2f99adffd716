import { Worker } from 'bullmq';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Certificate } from '../../../src/core/certificate.ts';
import type { Run } from '../../../src/ledger/call-notes.ts';
import { directBatchOf } from '../../../src/ledger/direct-items.ts';
import { blockId, blockQueueName, JOB_NAME, jobIdOf, type Block } from '../../../src/queue/contract.ts';
import { noteCalls } from '../note-calls.ts';
import { ACCOUNT, certificates, expectAccounted, expectEmptied, INSTANCE, Workshop } from '../workshop.ts';

const COUNT = 6;
let shop: Workshop;
beforeEach(async () => {
  shop = await Workshop.open();
});
afterEach(() => shop.close());

const range = (to: number): number[] => Array.from({ length: to }, (_, n) => n);

/**
 * A worker takes the block of all items and dies with it: the calls of some were noted, and those of the first of these had left.
 */
async function die(batch: string, items: readonly Certificate[], noted: number, sent = 0): Promise<Block> {
  const block: Block = { batch, instanceId: INSTANCE, from: 0, to: items.length };
  await shop.queues.addBlocks([block], 'bulk');
  const [lane] = await shop.ledger.lanes.of(batch);
  if (lane === undefined) throw new Error('there is no lane');
  await shop.ledger.lanes.advance(batch, lane, items.length, items.length);
  const victim = new Worker(blockQueueName(ACCOUNT, 'bulk'), undefined, {
    connection: shop.redis,
    prefix: shop.keys.prefix,
    skipVersionCheck: true,
    lockDuration: 200,
  });
  victim.on('error', () => undefined);
  const job = await victim.getNextJob('victim');
  expect(job?.id).toBe(blockId(block));
  const lockKey = shop.queues.blocks.bulk.toKey(`${blockId(block)}:lock`);
  await shop.redis.set(lockKey, 'victim');
  const run: Run = { kind: 'job', lockKey, token: 'victim' };
  const verdicts = await noteCalls(
    shop.ledger,
    range(noted).map((n) => ({ batch, n, instanceId: INSTANCE, run })),
  );
  expect(verdicts.filter(({ kind }) => kind === 'go')).toHaveLength(noted);
  const client = shop.client();
  for (const item of items.slice(0, sent)) await client.deleteDeviceCertificate(item, performance.now() + 10_000);
  client.close();
  await shop.redis.del(lockKey);
  await victim.close(true);
  return block;
}

it('and a cancel after it make no call for an item that had only waited for its slot', async () => {
  const items = certificates(COUNT);
  const batch = await shop.submit(items);
  await die(batch, items, 2);
  await shop.ledger.batches.change(batch, 'cancel');
  shop.start();
  await expectAccounted(shop, batch, items);
  // The two whose calls were on their way are followed to their end.
  expect(shop.sandbox.seen().calls).toBe(2);
  expect((await shop.settled(batch)).counts).toMatchObject({ revoked: 2, cancelled: COUNT - 2 });
});

it('make no revocation of what was never called: absence confirms only an item whose call was noted', async () => {
  const items = certificates(COUNT);
  const batch = await shop.submit(items);
  await die(batch, items, 2);
  shop.faults({ kind: 'code', code: 'FindDeviceBySnError', share: 1, times: 'always' });
  shop.start();
  const { counts, confirmedByAbsence } = await shop.settled(batch, COUNT);
  expect(counts).toMatchObject({ revoked: 2, alreadyGone: COUNT - 2 });
  expect(confirmedByAbsence).toBe(2);
});

it('in the middle of a block double no more than the calls that had left, and lose nothing', async () => {
  const items = certificates(50);
  const batch = await shop.submit(items);
  await die(batch, items, 12, 7);
  shop.start();
  const rows = await expectAccounted(shop, batch, items);
  expect(new Set(rows.map(({ outcome }) => outcome))).toEqual(new Set(['revoked']));
  expect(shop.sandbox.seen()).toMatchObject({ calls: 50 + 7, certificates: { calledAgain: 7 } });
  expect(shop.sandbox.deletedCount).toBe(50);
  expect((await shop.until(batch, () => true)).confirmedByAbsence).toBe(7);
});

it('leave no block that calls for a batch which was forgotten since, nor a job of an older version', async () => {
  const items = certificates(COUNT);
  const batch = '20260101-000000-abcdef';
  await shop.queues.addBlocks([{ batch, instanceId: INSTANCE, from: 0, to: COUNT }], 'bulk');
  for (const [n, item] of items.entries()) {
    await shop.queues.direct.add(
      JOB_NAME,
      { v: 1, ...item, batch, n },
      { jobId: jobIdOf(batch, n, 0), removeOnComplete: true },
    );
  }
  const { events } = shop.start();
  const direct = directBatchOf(ACCOUNT);
  expect((await shop.settled(direct, COUNT)).counts).toMatchObject({ dead: COUNT });
  expect((await shop.letters(direct)).map(({ code }) => code)).toEqual(items.map(() => 'unknown-batch'));
  await expectEmptied(shop);
  expect(shop.sandbox.seen().calls).toBe(0);
  const troubles = events.flatMap((event) => (event.kind === 'trouble' ? [event.error.message] : []));
  expect(troubles).toEqual([]);
});
