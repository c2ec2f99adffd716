import { afterEach, beforeEach, expect, it } from 'vitest';
import { Worker } from 'bullmq';
import type { Certificate } from '../../../src/core/certificate.ts';
import { ChunkReader } from '../../../src/ledger/chunk-reader.ts';
import { directBatchOf } from '../../../src/ledger/direct-items.ts';
import { BatchStateCache } from '../../../src/queue/batch-state-cache.ts';
import { ItemReports } from '../../../src/queue/process/item-reports.ts';
import { ItemRunner } from '../../../src/queue/process/item-runner.ts';
import { JobResolver } from '../../../src/queue/process/resolve-job.ts';
import { submitDirect } from '../../../src/queue/submit/direct.ts';
import { rescueFailed } from '../../../src/queue/worker/job-rescuer.ts';
import { dieCalling } from '../note-calls.ts';
import { ACCOUNT, certificates, expectAccounted, INSTANCE, Workshop } from '../workshop.ts';

const DIRECT = directBatchOf(ACCOUNT);
let shop: Workshop;
beforeEach(async () => {
  shop = await Workshop.open();
});
afterEach(() => shop.close());

/** Fails every job that is there, as BullMQ does with one that stalled too often. */
async function failAll(count: number): Promise<void> {
  const fail = (): Promise<never> => Promise.reject(new Error('job stalled more than allowable limit'));
  const options = { connection: shop.redis, prefix: shop.keys.prefix, skipVersionCheck: true };
  const { direct, blocks } = shop.queues;
  const workers = [direct, blocks.urgent, blocks.bulk].map(({ name }) => new Worker(name, fail, options));
  for (const worker of workers) worker.on('error', () => undefined);
  await expect.poll(async () => (await shop.queues.backlog()).failed).toBe(count);
  for (const worker of workers) await worker.close();
}

/** One round. @param onEnded - when an item's end is written */
function rescue(onEnded: () => void = () => undefined): Promise<number> {
  const { ledger, queues } = shop;
  const chunks = new ChunkReader(ledger);
  const states = new BatchStateCache(ledger);
  const reports = new ItemReports({ items: ledger.items, tell: () => undefined });
  const runner = new ItemRunner(() => Promise.reject(new Error('a job that was given up is called for')), reports);
  const resolver = new JobResolver(ledger, chunks, states, ACCOUNT);
  const items = {
    endDead: async (...end: Parameters<ItemRunner['endDead']>) => {
      const held = await runner.endDead(...end);
      onEnded();
      return held;
    },
  };
  return rescueFailed({ ledger, chunks, states, queues, resolver, items });
}

/** Feeds a batch of one block. */
async function feed(batch: string, items: readonly Certificate[]): Promise<void> {
  await shop.queues.addBlocks([{ batch, instanceId: INSTANCE, from: 0, to: items.length }], 'bulk');
  const [lane] = await shop.ledger.lanes.of(batch);
  if (lane === undefined) throw new Error('there is no lane');
  await shop.ledger.lanes.advance(batch, lane, items.length, items.length);
}

it('turns what BullMQ gave up into dead letters, once each, that can be retried', async () => {
  const items = certificates(3);
  const [foreign] = certificates(1);
  for (const item of items) await submitDirect(shop, shop.queues, ACCOUNT, item, 'bulk');
  await shop.addJob({ v: 1, ...foreign });
  await failAll(4);
  for (const n of [0, 1]) expect(await dieCalling(shop.ledger, DIRECT, n, INSTANCE)).toMatchObject({ kind: 'go' });
  // One of them was settled by the worker that died with it.
  await shop.redis.setbit(shop.ledger.keys.of(DIRECT).settled, 2, 1);
  await shop.redis.hincrby(shop.ledger.keys.of(DIRECT).record, 'revoked', 1);
  expect(await rescue()).toBe(4);
  expect(await rescue()).toBe(0);
  const letters = (await shop.letters(DIRECT)).toSorted((a, b) => a.n - b.n);
  expect(letters).toMatchObject([
    { n: 0, ...items[0], code: 'stalled-too-often', effectUnknown: true },
    { n: 1, ...items[1], code: 'stalled-too-often', effectUnknown: true },
    { n: 3, ...foreign, code: 'stalled-too-often', effectUnknown: false },
  ]);
  expect(letters[0]?.message).toContain('job stalled more than allowable limit');
  expect((await shop.until(DIRECT, () => true)).counts).toMatchObject({ revoked: 1, dead: 3 });
  // One of the calls had worked: the item that is tried again is found to be gone, and counts as revoked.
  for (const n of [0, 1, 3]) await shop.ledger.deadLetters.reopen(DIRECT, [n]);
  const deviceSns = [items[0]?.deviceSn ?? ''];
  shop.faults({ kind: 'code', code: 'FindDeviceBySnError', deviceSns, times: 'always' });
  shop.start();
  expect((await shop.settled(DIRECT)).counts).toMatchObject({ revoked: 4, dead: 0 });
  expect((await shop.until(DIRECT, () => true)).confirmedByAbsence).toBe(1);
});

it('makes one dead letter of a job, also where its process dies before the job is removed', async () => {
  const [foreign] = certificates(1);
  await shop.addJob({ v: 1, ...foreign });
  await shop.addJob('text');
  await failAll(2);
  for (let death = 0; death < 2; death += 1) {
    const dying = (): never => {
      throw new Error('killed');
    };
    await expect(rescue(dying)).rejects.toThrow('killed');
    expect(await rescue()).toBe(2 - death);
    await shop.addJob('text');
    await failAll(1);
  }
  expect((await shop.until(DIRECT, () => true)).counts).toMatchObject({ accepted: 3, dead: 3 });
});

it('has the items of a block that was given up wait, each of which has its own end', async () => {
  const items = certificates(3);
  const batch = await shop.submit(items);
  await feed(batch, items);
  await failAll(1);
  await dieCalling(shop.ledger, batch, 1, INSTANCE);
  expect(await rescue()).toBe(1);
  const waiting = await shop.redis.zrange(shop.ledger.keys.waiting(INSTANCE), '0', '-1');
  expect(waiting).toEqual([0, 1, 2].map((n) => `${batch} ${n}`));
  expect((await shop.queues.backlog()).failed).toBe(0);
  // The call that was noted had worked; the others are of certificates that never were.
  const client = shop.client();
  const [first, second, third] = items as [Certificate, Certificate, Certificate];
  await client.deleteDeviceCertificate(second, performance.now() + 10_000);
  client.close();
  const deviceSns = [first.deviceSn, third.deviceSn];
  shop.faults({ kind: 'code', code: 'FindDeviceBySnError', deviceSns, times: 'always' });
  shop.start();
  const rows = await expectAccounted(shop, batch, items);
  expect(rows.map(({ outcome }) => outcome)).toEqual(['already-gone', 'revoked', 'already-gone']);
});

it('is done by the worker itself', async () => {
  const items = certificates(2);
  for (const item of items) await submitDirect(shop, shop.queues, ACCOUNT, item, 'bulk');
  await failAll(2);
  const { events } = shop.start();
  const rows = await expectAccounted(shop, DIRECT, items);
  expect(rows.map(({ outcome, code }) => `${outcome} ${code}`)).toEqual([
    'dead stalled-too-often',
    'dead stalled-too-often',
  ]);
  expect(events.filter(({ kind }) => kind === 'swept')).toEqual([{ kind: 'swept', jobs: 2 }]);
  expect(shop.sandbox.seen().calls).toBe(0);
});
