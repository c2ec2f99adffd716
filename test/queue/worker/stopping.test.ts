import { afterEach, beforeEach, expect, it } from 'vitest';
import { ACCOUNT, certificates, expectAccounted, INSTANCE, Workshop } from '../workshop.ts';

let shop: Workshop;
beforeEach(async () => {
  shop = await Workshop.open({ latency: { kind: 'fixed', ms: 30 } });
});
afterEach(() => shop.close());

/** Slow enough that a test can come between. */
const slow = { account: { name: ACCOUNT, qps: 300, instances: [INSTANCE] } };

it('cancels what has not been called for, and counts exactly what was deleted as revoked', async () => {
  const items = certificates(400);
  const batch = await shop.submit(items);
  shop.start(slow);
  await shop.until(batch, ({ counts }) => counts.revoked >= 130);
  expect((await shop.ledger.batches.change(batch, 'cancel')).kind).toBe('changed');
  await expectAccounted(shop, batch, items);
  const { state, counts } = await shop.until(batch, () => true);
  expect(state).toBe('cancelled');
  expect(counts.revoked).toBe(shop.sandbox.deletedCount);
  expect(counts.cancelled).toBeGreaterThan(0);
  expect(counts).toMatchObject({ accepted: 400, dead: 0, alreadyGone: 0, cancelled: 400 - counts.revoked });
  // An item that stayed is there still.
  const cancelled = (await shop.rows(batch)).filter(({ outcome }) => outcome === 'cancelled');
  expect(cancelled.filter((row) => !shop.sandbox.has(row))).toEqual([]);
});

it('cancels an item whose calls were all refused, and follows one whose call may have worked', async () => {
  const [throttled, lost] = certificates(2) as [ReturnType<typeof certificates>[0], ReturnType<typeof certificates>[0]];
  shop.faults(
    { kind: 'throttle', retryAfterMs: 1_500, deviceSns: [throttled.deviceSn] },
    { kind: 'reset-after', deviceSns: [lost.deviceSn] },
  );
  const batch = await shop.submit([throttled, lost]);
  const { events } = shop.start({ policy: { attempts: 3, notFound: 'already-gone', baseMs: 4_000, capMs: 4_000 } });
  // Both have had a call, and wait.
  const answers = (): number => events.filter(({ kind }) => kind === 'answer').length;
  await expect.poll(answers).toBeGreaterThanOrEqual(2);
  await shop.ledger.batches.change(batch, 'cancel');
  await shop.settled(batch);
  expect((await shop.rows(batch)).map(({ outcome }) => outcome)).toEqual(['cancelled', 'revoked']);
  expect(shop.sandbox.has(throttled)).toBe(true);
});

it('gives back its jobs when it closes, and another worker ends them: none is lost, none done twice', async () => {
  const items = certificates(400);
  const batch = await shop.submit(items);
  const first = shop.start(slow);
  await shop.until(batch, ({ counts }) => counts.revoked >= 130);
  await first.worker.close(5_000);
  expect(first.worker.inHand).toBe(0);
  // Ready again in a second, not when a lock has run out.
  const { active, failed } = await shop.queues.backlog();
  expect({ active, failed }).toEqual({ active: 0, failed: 0 });
  const delayed = await shop.queues.blocks.bulk.getDelayed();
  for (const { timestamp, delay } of delayed) expect(timestamp + delay).toBeLessThanOrEqual(Date.now() + 1_000);
  const { counts } = await shop.until(batch, () => true);
  expect(counts.revoked).toBe(shop.sandbox.deletedCount);
  const second = shop.start();
  const rows = await expectAccounted(shop, batch, items);
  expect(new Set(rows.map(({ outcome, attempts }) => `${outcome} ${attempts}`))).toEqual(new Set(['revoked 1']));
  expect(await shop.until(batch, () => true)).toMatchObject({ confirmedByAbsence: 0 });
  const seen = shop.sandbox.seen();
  expect(seen.certificates.calledAgain).toBe(0);
  expect(seen.calls).toBe(items.length);
  const defects = [...first.events, ...second.events].filter(({ kind }) => kind === 'defect' || kind === 'trouble');
  expect(defects).toEqual([]);
});

it('shares a batch with other workers, and each item is called for once', async () => {
  const items = certificates(300);
  const batch = await shop.submit(items);
  const workers = [shop.start(), shop.start(), shop.start()];
  await expectAccounted(shop, batch, items);
  expect(shop.sandbox.seen()).toMatchObject({ calls: items.length, certificates: { calledAgain: 0 } });
  const settled = workers.flatMap(({ events }) => events.filter(({ kind }) => kind === 'settled'));
  expect(settled).toHaveLength(items.length);
});
