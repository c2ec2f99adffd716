import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Worker } from 'bullmq';
import { reopenDeadLetter } from '../../src/ledger/dead-letters.ts';
import { ChunkReader } from '../../src/ledger/chunk-reader.ts';
import { BatchStates } from '../../src/queue/batch-states.ts';
import { queueName } from '../../src/queue/contract.ts';
import { ItemLocator, standingBatchOf } from '../../src/queue/item.ts';
import { sweepFailed } from '../../src/queue/sweeper.ts';
import { depart } from '../ledger/ledger-room.ts';
import { ACCOUNT, certificates, expectAccounted, Workshop } from './workshop.ts';

let shop: Workshop;
beforeEach(async () => {
  shop = await Workshop.open();
});
afterEach(() => shop.close());

/** Fails every job that is there, as BullMQ does with one that stalled too often. */
async function failAll(count: number): Promise<void> {
  const worker = new Worker(
    queueName(ACCOUNT),
    () => Promise.reject(new Error('job stalled more than allowable limit')),
    {
      connection: shop.redis,
      prefix: shop.keys.prefix,
      skipVersionCheck: true,
    },
  );
  worker.on('error', () => undefined);
  await expect.poll(async () => (await shop.queue.backlog()).failed, { timeout: 20_000 }).toBe(count);
  await worker.close();
}

it('turns what BullMQ gave up into dead letters, once each, that can be retried', async () => {
  const items = certificates(3);
  const [foreign] = certificates(1);
  const batch = await shop.submit(items);
  await shop.queue.feed(
    items.map((certificate, n) => ({ batch, n, certificate })),
    'bulk',
  );
  const [lane] = await shop.ledger.lanes(batch);
  if (lane === undefined) throw new Error('there is no lane');
  await shop.ledger.advance(batch, lane, 1_000, 3);
  await shop.addJob({ v: 1, ...foreign });
  await failAll(4);
  for (const n of [0, 1]) expect(await depart(shop.redis, shop.ledger, batch, n)).toBe('none');
  // One of them was settled by the worker that died with it.
  const run = { lock: { key: shop.keys.prefix, token: '' }, name: 'dead', told: '' };
  await shop.ledger.settle({ batch, n: 2, outcome: 'revoked', code: 'OK', requestId: 'R', attempts: 1, run });
  const states = new BatchStates(shop.ledger);
  const locator = new ItemLocator(shop.ledger, new ChunkReader(shop.ledger), states, ACCOUNT);
  expect(await sweepFailed(shop.queue, locator, shop.ledger)).toBe(4);
  expect(await sweepFailed(shop.queue, locator, shop.ledger)).toBe(0);
  const letters = (await shop.letters(batch)).toSorted((a, b) => a.n - b.n);
  expect(letters).toMatchObject([
    { n: 0, ...items[0], code: 'stalled-too-often', effectUnknown: true },
    { n: 1, ...items[1], code: 'stalled-too-often', effectUnknown: true },
  ]);
  expect(letters[0]?.message).toContain('job stalled more than allowable limit');
  expect(await shop.letters(standingBatchOf(ACCOUNT))).toMatchObject([{ ...foreign, code: 'stalled-too-often' }]);
  expect((await shop.until(batch, () => true)).counts).toMatchObject({ revoked: 1, dead: 2 });
  // One of the calls had worked: the item that is tried again is found to be gone, and counts as revoked.
  for (const n of [0, 1]) await reopenDeadLetter(shop.redis, shop.ledger, batch, n);
  const deviceSns = [items[0]?.deviceSn ?? ''];
  shop.faults({ kind: 'code', code: 'FindDeviceBySnError', deviceSns, times: 'always' });
  shop.start();
  expect((await shop.settled(batch)).counts).toMatchObject({ revoked: 3, dead: 0 });
  expect((await shop.until(batch, () => true)).confirmedByAbsence).toBe(1);
});

it('makes one dead letter of a job, also where its process dies before the job is removed', async () => {
  const [foreign] = certificates(1);
  await shop.addJob({ v: 1, ...foreign });
  await shop.addJob('text');
  await failAll(2);
  const states = new BatchStates(shop.ledger);
  const locator = new ItemLocator(shop.ledger, new ChunkReader(shop.ledger), states, ACCOUNT);
  const { bull } = shop.queue;
  for (let death = 0; death < 2; death += 1) {
    const [job] = await bull.getFailed();
    if (job === undefined) throw new Error('there is no failed job');
    const dying = vi.spyOn(bull, 'getFailed').mockResolvedValue([job]);
    vi.spyOn(job, 'remove').mockRejectedValue(new Error('killed'));
    await expect(sweepFailed(shop.queue, locator, shop.ledger)).rejects.toThrow('killed');
    dying.mockRestore();
    expect(await sweepFailed(shop.queue, locator, shop.ledger)).toBe(2 - death);
    await shop.addJob('text');
    await failAll(1);
  }
  expect((await shop.until(standingBatchOf(ACCOUNT), () => true)).counts).toMatchObject({ accepted: 3, dead: 3 });
});

it('is done by the worker itself', async () => {
  const items = certificates(2);
  const batch = await shop.submit(items);
  await shop.queue.feed(
    items.map((certificate, n) => ({ batch, n, certificate })),
    'bulk',
  );
  const [lane] = await shop.ledger.lanes(batch);
  if (lane === undefined) throw new Error('there is no lane');
  await shop.ledger.advance(batch, lane, 1_000, 2);
  await failAll(2);
  const { events } = shop.start();
  const rows = await expectAccounted(shop, batch, items);
  expect(rows.map(({ outcome, code }) => `${outcome} ${code}`)).toEqual([
    'dead stalled-too-often',
    'dead stalled-too-often',
  ]);
  expect(events.filter(({ kind }) => kind === 'swept')).toEqual([{ kind: 'swept', jobs: 2 }]);
  expect(shop.sandbox.seen().calls).toBe(0);
});
