import { randomUUID } from 'node:crypto';
import { afterAll, expect, it } from 'vitest';
import { certificatesOf, LedgerRoom } from './ledger-room.ts';

const CALLED = { isUncalled: false, attempt: { failures: 0, calls: 1, effectUnknown: false } };
const room = new LedgerRoom();
afterAll(() => room.cleanup());

const MOST_BYTES_PER_WAITING_ITEM = 40;
const MOST_BYTES_PER_SETTLED_ITEM = 76;

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

it.each([
  ['one at a time', 1],
  ['as many as a fast worker settles in one step', 25],
])('adds at most 76 bytes of Redis for an item that is settled, %s', async (_, together) => {
  const count = 5_000;
  const batch = await room.batchOf(certificatesOf(count));
  const reports = Array.from({ length: count }, (__, n) =>
    room.settlement(n, 'revoked', { ...CALLED, requestId: randomUUID() }),
  );
  const steps = Array.from({ length: count / together }, (__, at) => reports.slice(at * together, (at + 1) * together));
  await Promise.all(steps.map((step) => room.report(batch, ...step)));
  expect((await room.batch(batch)).counts.revoked).toBe(count);
  const { ledger, attempts } = room.ledger.keys.of(batch);
  expect(await room.redis.exists(attempts)).toBe(0);
  const perItem = ((await room.redis.memory('USAGE', ledger, 'SAMPLES', 0)) ?? 0) / count;
  expect(perItem).toBeLessThanOrEqual(MOST_BYTES_PER_SETTLED_ITEM);
  // A request id has 36 characters.
  expect(perItem).toBeGreaterThanOrEqual(36);
});

it('tells the outcomes a second, of a young batch over its own age, of an idle one as none', async () => {
  const batch = await room.batchOf(certificatesOf(500));
  expect(await room.ledger.batches.ratePerSecond(batch)).toBe(0);
  await Promise.all(Array.from({ length: 100 }, (_, n) => room.settle(batch, n, 'revoked')));
  // However slow the machine: a hundred outcomes in at least one second and at most the batch's age.
  const { submittedAt } = await room.batch(batch);
  const rate = await room.ledger.batches.ratePerSecond(batch);
  const [seconds = 0, micros = 0] = await room.redis.time();
  const ageSeconds = seconds + micros / 1e6 - submittedAt / 1_000;
  expect(rate).toBeLessThanOrEqual(100);
  expect(rate).toBeGreaterThanOrEqual(100 / Math.min(10, Math.max(1, ageSeconds)) - 0.01);
});

it('measures a fast batch over its last outcomes', async () => {
  const batch = await room.batchOf(certificatesOf(2_500));
  await Promise.all(Array.from({ length: 2_400 }, (_, n) => room.settle(batch, n, 'revoked')));
  const rate = await room.ledger.batches.ratePerSecond(batch);
  expect(rate).toBeGreaterThan(0);
  expect(rate).toBeLessThanOrEqual(2_000);
});
