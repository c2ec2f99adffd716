import { afterEach, expect, it } from 'vitest';
import { readHalts } from '../../../src/limiter/halts/halt-store.ts';
import type { WorkerEvent } from '../../../src/queue/worker/account-worker.ts';
import { UNREACHABLE, type OthersView } from '../../../src/queue/process/host-watch.ts';
import type { JournaledCall } from '../../../src/sandbox/journal.ts';
import { startEndpointFront } from '../../support/endpoint-front.ts';
import { createMqttClient } from '../../../src/mqtt/client.ts';
import { ACCOUNT, certificates, expectAccounted, INSTANCE, KEY, Workshop } from '../workshop.ts';

const PROBE_INTERVAL_MS = 1_000;
const POLICY = { attempts: 3, notFound: 'already-gone', baseMs: 1, capMs: 5 } as const;
let shop: Workshop;
afterEach(() => shop.close());

/** Another worker is there, which has access to the account or has not. */
const besides = (hasAccess: boolean): OthersView => ({ isAlone: false, provenSince: () => hasAccess });
const count = (events: readonly WorkerEvent[], kind: WorkerEvent['kind']): number =>
  events.filter((event) => event.kind === kind).length;

it('where reads are judged and deletions fail, each item ends dead after a later read, and the breaker pauses the batch', async () => {
  const calls: JournaledCall[] = [];
  shop = await Workshop.open({ journal: (call) => void calls.push(call) });
  shop.faults({ kind: 'code', code: 'ServiceUnavailable', times: 'always' });
  const batch = await shop.submit(certificates(100));
  const { events } = shop.start({ policy: POLICY, breaker: { maxDeadShare: 0.05, minSample: 20 } });
  const { counts } = await shop.until(batch, ({ state }) => state === 'paused');
  expect(counts.revoked).toBe(0);
  expect(counts.dead).toBeGreaterThan(0);
  const letters = await shop.letters(batch);
  for (const { deviceSn, calls: made } of letters) {
    expect(made).toBe(POLICY.attempts);
    const last = calls.findLastIndex((call) => call.deviceSn === deviceSn);
    expect(calls.slice(last).some(({ operation }) => operation === 'ListDeviceCertificate')).toBe(true);
  }
  // One for all that wait, not one for each.
  expect(calls.filter(({ operation }) => operation === 'ListDeviceCertificate').length).toBeLessThan(counts.dead);
  expect(count(events, 'host-halted')).toBe(0);
});

it('a batch that is cancelled while the endpoint is out ends at once, and a worker leaves as it does otherwise', async () => {
  shop = await Workshop.open();
  const front = await startEndpointFront(shop.sandbox.url);
  try {
    await front.become('refuses');
    const client = createMqttClient({
      endpoint: front.url,
      credentials: { get: () => Promise.resolve(KEY), invalidate: () => undefined },
      callDeadlineMs: 10_000,
      maxConnections: 200,
    });
    const batch = await shop.submit(certificates(300));
    await shop.ledger.batches.change(batch, 'pause');
    await shop.ledger.batches.change(batch, 'resume');
    const account = { name: ACCOUNT, qps: 100, instances: [INSTANCE] };
    const { events, worker } = shop.start({ client, policy: POLICY, account });
    await expect.poll(() => worker.hostHalts).toMatchObject([{ code: UNREACHABLE }]);
    expect(worker.hostHalts[0]?.message).toContain('the last: network-ECONNREFUSED');
    expect(await shop.until(batch, () => true)).toMatchObject({ state: 'running', counts: { dead: 0, revoked: 0 } });
    await shop.ledger.batches.change(batch, 'cancel');
    expect((await shop.settled(batch, 300)).counts).toMatchObject({ cancelled: 300 });
    expect(count(events, 'host-halted')).toBe(1);
  } finally {
    await front.close();
  }
});

it('a key that is refused here and works elsewhere stops this worker alone, until its own probe succeeds', async () => {
  shop = await Workshop.open();
  const items = certificates(200);
  const batch = await shop.submit(items);
  shop.sandbox.revokeKey(KEY.accessKeyId, 'SignatureDoesNotMatch');
  const { events, worker } = shop.start({ others: besides(true), probeIntervalMs: PROBE_INTERVAL_MS });
  await expect.poll(() => worker.hostHalts).toMatchObject([{ code: 'SignatureDoesNotMatch' }]);
  const { byCode } = shop.sandbox.seen();
  await expect
    .poll(() => shop.sandbox.seen().byCode['SignatureDoesNotMatch'] ?? 0)
    .toBeGreaterThan(byCode['SignatureDoesNotMatch'] ?? 0);
  expect(await readHalts(shop.redis, shop.keys.prefix)).toEqual([]);
  shop.sandbox.restoreKey(KEY.accessKeyId);
  const rows = await expectAccounted(shop, batch, items);
  expect(new Set(rows.map(({ outcome }) => outcome))).toEqual(new Set(['revoked']));
  expect([count(events, 'halted'), count(events, 'host-halted'), count(events, 'host-lifted')]).toEqual([0, 1, 1]);
});

it('a key that is refused everywhere stops the account, though others are there', async () => {
  shop = await Workshop.open();
  const batch = await shop.submit(certificates(200));
  shop.sandbox.revokeKey(KEY.accessKeyId, 'InvalidAccessKeyId.Inactive');
  const { events, worker } = shop.start({
    others: besides(false),
    account: { name: ACCOUNT, qps: 100, instances: [INSTANCE] },
  });
  await expect
    .poll(() => readHalts(shop.redis, shop.keys.prefix))
    .toMatchObject([{ account: ACCOUNT, code: 'InvalidAccessKeyId.Inactive' }]);
  expect(worker.hostHalts).toEqual([]);
  await expect.poll(() => count(events, 'halted')).toBe(1);
  expect(count(events, 'host-halted')).toBe(0);
  // It asked the others without calling meanwhile: what was refused was under way at the first refusal, as far as the ramp lets.
  expect(shop.sandbox.seen().calls).toBeLessThanOrEqual(10);
  expect((await shop.until(batch, () => true)).counts).toMatchObject({ dead: 0, revoked: 0 });
});
