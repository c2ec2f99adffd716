import { afterEach, beforeEach, expect, it } from 'vitest';
import { slotsPerPulse } from '../../src/core/pace.ts';
import { readHalts } from '../../src/limiter/halt-store.ts';
import type { WorkerEvent } from '../../src/queue/account-worker.ts';
import { ACCOUNT, certificates, expectAccounted, INSTANCE, KEY, OTHER_INSTANCE, Workshop } from './workshop.ts';

const PROBE_INTERVAL_MS = 1_000;
const QPS = 500;
let shop: Workshop;
beforeEach(async () => {
  shop = await Workshop.open({ latency: { kind: 'fixed', ms: 20 } });
});
afterEach(() => shop.close());

it('stops with the calls under way when the key is revoked, loses nothing, and goes on by itself when it is restored', async () => {
  const items = certificates(500);
  const batch = await shop.submit(items);
  const client = shop.client();
  let sent = 0;
  let underWay = 0;
  let sentBeforeHalt = Number.POSITIVE_INFINITY;
  let haltedAtMs = 0;
  const events: WorkerEvent[] = [];
  // Slow enough to be in the middle of it.
  shop.start({
    account: { name: ACCOUNT, qps: QPS, instances: [INSTANCE] },
    probeIntervalMs: PROBE_INTERVAL_MS,
    client: {
      async deleteDeviceCertificate(certificate, notAfterMs) {
        sent += 1;
        underWay += 1;
        const answer = await client.deleteDeviceCertificate(certificate, notAfterMs);
        underWay -= 1;
        return answer;
      },
      close: () => client.close(),
    },
    tell(event) {
      events.push(event);
      if (event.kind !== 'halted') return;
      sentBeforeHalt = sent;
      haltedAtMs = performance.now();
    },
  });
  const count = (kind: WorkerEvent['kind']): number => events.filter((event) => event.kind === kind).length;
  await shop.until(batch, ({ counts }) => counts.revoked >= 150);
  shop.sandbox.revokeKey(KEY.accessKeyId, 'InvalidAccessKeyId.NotFound');
  const deletedBefore = shop.sandbox.deletedCount;
  await expect.poll(() => count('halted'), { timeout: 20_000 }).toBe(1);
  // A probe has come and gone.
  await expect.poll(() => sent > sentBeforeHalt && underWay === 0, { timeout: 20_000 }).toBe(true);
  const probesPossible = 1 + Math.floor((performance.now() - haltedAtMs) / PROBE_INTERVAL_MS);
  // Slots that were handed out a moment before may be used.
  expect(sent - sentBeforeHalt).toBeLessThanOrEqual(probesPossible + slotsPerPulse(QPS));
  expect(shop.sandbox.deletedCount).toBe(deletedBefore);
  expect(await shop.until(batch, () => true)).toMatchObject({
    state: 'running',
    counts: { dead: 0, alreadyGone: 0, revoked: deletedBefore },
  });
  expect(await readHalts(shop.redis, shop.keys.prefix)).toMatchObject([
    { account: ACCOUNT, code: 'InvalidAccessKeyId.NotFound' },
  ]);
  shop.sandbox.restoreKey(KEY.accessKeyId);
  const rows = await expectAccounted(shop, batch, items);
  expect(new Set(rows.map(({ outcome }) => outcome))).toEqual(new Set(['revoked']));
  expect(shop.sandbox.deletedCount).toBe(items.length);
  expect(count('halted')).toBe(1);
  expect(count('lifted')).toBe(1);
  expect(await readHalts(shop.redis, shop.keys.prefix)).toEqual([]);
});

it('stops one instance alone, and the others of the batch go on', async () => {
  const items = certificates(120, [INSTANCE, OTHER_INSTANCE]);
  const bad = items.filter(({ instanceId }) => instanceId === OTHER_INSTANCE);
  const deviceSns = bad.map(({ deviceSn }) => deviceSn);
  shop.faults({ kind: 'code', code: 'MqttInstanceNotFound', deviceSns, times: 'always' });
  const batch = await shop.submit(items);
  // An operator has looked at it, so that the ramp does not wait for the instance.
  await shop.ledger.change(batch, 'pause');
  await shop.ledger.change(batch, 'resume');
  shop.start({ probeIntervalMs: PROBE_INTERVAL_MS });
  const good = items.length - bad.length;
  expect((await shop.until(batch, ({ counts }) => counts.revoked === good)).counts).toMatchObject({ dead: 0 });
  expect(await readHalts(shop.redis, shop.keys.prefix)).toMatchObject([{ instanceId: OTHER_INSTANCE }]);
  shop.faults();
  const rows = await expectAccounted(shop, batch, items);
  expect(new Set(rows.map(({ outcome }) => outcome))).toEqual(new Set(['revoked']));
});
