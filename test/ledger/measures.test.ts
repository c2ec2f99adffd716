import { afterAll, expect, it } from 'vitest';
import { certificatesOf, LedgerRoom } from './ledger-room.ts';

const room = new LedgerRoom();
afterAll(() => room.cleanup());

const MOST_BYTES_PER_WAITING_ITEM = 40;

it('keeps a waiting item in at most 40 bytes of Redis', async () => {
  const count = 20_000;
  const batch = await room.batchOf(certificatesOf(count));
  const sizes = await Promise.all(
    (await room.keysWith(batch)).map(async (key) => (await room.redis.memory('USAGE', key, 'SAMPLES', 0)) ?? 0),
  );
  const perItem = sizes.reduce((sum, bytes) => sum + bytes, 0) / count;
  expect(perItem).toBeLessThanOrEqual(MOST_BYTES_PER_WAITING_ITEM);
  // Random serial numbers of 16 bytes cannot be told in less: the measure saw them all.
  expect(perItem).toBeGreaterThanOrEqual(16);
});

it('tells the outcomes a second, of a young batch over its own age, of an idle one as none', async () => {
  const batch = await room.batchOf(certificatesOf(500));
  expect(await room.ledger.ratePerSecond(batch)).toBe(0);
  await Promise.all(Array.from({ length: 100 }, (_, n) => room.ledger.settle(room.settlement(batch, n, 'revoked'))));
  // However slow the machine: a hundred outcomes in at least one second and at most the batch's age.
  const { submittedAt } = await room.batch(batch);
  const rate = await room.ledger.ratePerSecond(batch);
  const [seconds = 0, micros = 0] = await room.redis.time();
  const ageSeconds = seconds + micros / 1e6 - submittedAt / 1_000;
  expect(rate).toBeLessThanOrEqual(100);
  expect(rate).toBeGreaterThanOrEqual(100 / Math.min(10, Math.max(1, ageSeconds)) - 0.01);
});

it('measures a fast batch over its last outcomes', async () => {
  const batch = await room.batchOf(certificatesOf(2_500));
  await Promise.all(Array.from({ length: 2_400 }, (_, n) => room.ledger.settle(room.settlement(batch, n, 'revoked'))));
  const rate = await room.ledger.ratePerSecond(batch);
  expect(rate).toBeGreaterThan(0);
  expect(rate).toBeLessThanOrEqual(2_000);
});
