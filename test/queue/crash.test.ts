import { Worker } from 'bullmq';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Certificate } from '../../src/core/certificate.ts';
import { queueName } from '../../src/queue/contract.ts';
import { standingBatchOf } from '../../src/queue/item.ts';
import { depart } from '../ledger/ledger-room.ts';
import { ACCOUNT, certificates, expectAccounted, Workshop } from './workshop.ts';

const COUNT = 6;
let shop: Workshop;
beforeEach(async () => {
  shop = await Workshop.open();
});
afterEach(() => shop.close());

async function feed(batch: string, items: readonly Certificate[]): Promise<void> {
  await shop.queue.feed(
    items.map((certificate, n) => ({ batch, n, certificate })),
    'bulk',
  );
}

/** A worker takes the jobs of all items and dies with them; the calls of the first `departed` had left, or were about to. */
async function die(batch: string, items: readonly Certificate[], departed: number): Promise<void> {
  await feed(batch, items);
  const [lane] = await shop.ledger.lanes(batch);
  if (lane === undefined) throw new Error('there is no lane');
  await shop.ledger.advance(batch, lane, 1_000, items.length);
  const victim = new Worker(queueName(ACCOUNT), undefined, {
    connection: shop.redis,
    prefix: shop.keys.prefix,
    skipVersionCheck: true,
    lockDuration: 200,
  });
  victim.on('error', () => undefined);
  for (const n of items.keys()) expect(await victim.getNextJob(`token-${n}`)).toBeDefined();
  for (let n = 0; n < departed; n += 1) await depart(shop.redis, shop.ledger, batch, n);
  await victim.close(true);
}

it('and a cancel after it make no call for an item that had only waited for its slot', async () => {
  const items = certificates(COUNT);
  const batch = await shop.submit(items);
  await die(batch, items, 2);
  await shop.ledger.change(batch, 'cancel');
  shop.start();
  await expectAccounted(shop, batch, items);
  // The two whose calls were on their way are followed to their end.
  expect(shop.sandbox.seen().calls).toBe(2);
  expect((await shop.settled(batch)).counts).toMatchObject({ revoked: 2, cancelled: COUNT - 2 });
});

it('make no revocation of what was never called: absence confirms only an item whose call had left', async () => {
  const items = certificates(COUNT);
  const batch = await shop.submit(items);
  await die(batch, items, 2);
  shop.faults({ kind: 'code', code: 'FindDeviceBySnError', share: 1, times: 'always' });
  shop.start();
  const { counts, confirmedByAbsence } = await shop.settled(batch, COUNT);
  expect(counts).toMatchObject({ revoked: 2, alreadyGone: COUNT - 2 });
  expect(confirmedByAbsence).toBe(2);
});

it('leave no job that calls for a batch which was forgotten since', async () => {
  const items = certificates(COUNT);
  await feed('20260101-000000-abcdef', items);
  shop.start();
  const standing = standingBatchOf(ACCOUNT);
  expect((await shop.settled(standing, COUNT)).counts).toMatchObject({ dead: COUNT });
  expect((await shop.letters(standing)).map(({ code }) => code)).toEqual(items.map(() => 'unknown-batch'));
  expect(shop.sandbox.seen().calls).toBe(0);
});
