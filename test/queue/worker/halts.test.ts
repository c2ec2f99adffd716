import { afterEach, beforeEach, expect, it } from 'vitest';
import { slotsPerPulse } from '../../../src/core/pace.ts';
import { markOf, readHalts } from '../../../src/limiter/halts/halt-store.ts';
import { openLimiter } from '../../../src/limiter/limiter.ts';
import type { AccountWorkerOptions, WorkerEvent } from '../../../src/queue/worker/account-worker.ts';
import { directBatchOf } from '../../../src/ledger/direct-items.ts';
import { TRIAL_REFUSALS } from '../../../src/queue/process/key-renewal.ts';
import { ACCOUNT, certificates, expectAccounted, INSTANCE, KEY, OTHER_INSTANCE, Workshop } from '../workshop.ts';

const PROBE_INTERVAL_MS = 1_000;
const QPS = 500;
let shop: Workshop;
beforeEach(async () => {
  shop = await Workshop.open({ latency: { kind: 'fixed', ms: 20 } });
});
afterEach(() => shop.close());

it('stops with the calls under way when the key is revoked, loses nothing, and continues by itself when it is restored', async () => {
  const items = certificates(500);
  const batch = await shop.submit(items);
  const { client, calls } = countingClient();
  let sentBeforeHalt = Number.POSITIVE_INFINITY;
  let haltedAtMs = 0;
  const events: WorkerEvent[] = [];
  // Slow enough to be in the middle of it.
  shop.start({
    account: { name: ACCOUNT, qps: QPS, instances: [INSTANCE] },
    probeIntervalMs: PROBE_INTERVAL_MS,
    client,
    tell(event) {
      events.push(event);
      if (event.kind !== 'halted') return;
      sentBeforeHalt = calls.sent;
      haltedAtMs = performance.now();
    },
  });
  const count = (kind: WorkerEvent['kind']): number => events.filter((event) => event.kind === kind).length;
  await shop.until(batch, ({ counts }) => counts.revoked >= 150);
  shop.sandbox.revokeKey(KEY.accessKeyId, 'InvalidAccessKeyId.NotFound');
  const deletedBefore = shop.sandbox.deletedCount;
  await expect.poll(() => count('halted')).toBe(1);
  // A probe has come and gone.
  await expect.poll(() => calls.sent > sentBeforeHalt && calls.underWay === 0).toBe(true);
  const probesPossible = 1 + Math.floor((performance.now() - haltedAtMs) / PROBE_INTERVAL_MS);
  // Slots that were handed out a moment before may be used.
  expect(calls.sent - sentBeforeHalt).toBeLessThanOrEqual(probesPossible + slotsPerPulse(QPS));
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

it('stops one instance alone, and the others of the batch continue', async () => {
  const items = certificates(120, [INSTANCE, OTHER_INSTANCE]);
  const bad = items.filter(({ instanceId }) => instanceId === OTHER_INSTANCE);
  const deviceSns = bad.map(({ deviceSn }) => deviceSn);
  shop.faults({ kind: 'code', code: 'MqttInstanceNotFound', deviceSns, times: 'always' });
  const batch = await shop.submit(items);
  // An operator has looked at it, so that the ramp does not wait for the instance.
  await shop.ledger.batches.change(batch, 'pause');
  await shop.ledger.batches.change(batch, 'resume');
  shop.start({ probeIntervalMs: PROBE_INTERVAL_MS });
  const good = items.length - bad.length;
  expect((await shop.until(batch, ({ counts }) => counts.revoked === good)).counts).toMatchObject({ dead: 0 });
  // Its calls may be the last of all, and then its halt is written after the others are done.
  await expect.poll(() => readHalts(shop.redis, shop.keys.prefix)).toMatchObject([{ instanceId: OTHER_INSTANCE }]);
  shop.faults();
  const rows = await expectAccounted(shop, batch, items);
  expect(new Set(rows.map(({ outcome }) => outcome))).toEqual(new Set(['revoked']));
});

it('ends a halt with the next call where the probe could not be sent in time', async () => {
  await haltAccount();
  const batch = directBatchOf(ACCOUNT);
  for (const item of certificates(20)) await shop.addJob({ v: 1, ...item });
  const client = shop.client();
  let late = 0;
  const { events } = shop.start({
    probeIntervalMs: 30_000,
    client: {
      ...client,
      async deleteDeviceCertificate(certificate, notAfterMs) {
        if (late === 3) return client.deleteDeviceCertificate(certificate, notAfterMs);
        late += 1;
        return { kind: 'not-sent', reason: 'slot-void', message: 'late' };
      },
    },
  });
  const { counts } = await shop.until(batch, ({ counts: { revoked } }) => revoked > 0);
  expect(late).toBe(3);
  expect(counts.dead).toBe(0);
  expect(events.filter(({ kind }) => kind === 'lifted')).toHaveLength(1);
  expect(await readHalts(shop.redis, shop.keys.prefix)).toEqual([]);
});

it('ends a halt whose probe is under way while the worker leaves', async () => {
  await haltAccount();
  const [item] = certificates(1);
  await shop.addJob({ v: 1, ...item });
  const client = shop.client();
  let leave: () => void = () => undefined;
  const leaving = new Promise<void>((resolve) => {
    leave = resolve;
  });
  let isUnderWay = false;
  shop.start({
    client: {
      ...client,
      async deleteDeviceCertificate(certificate, notAfterMs) {
        const answer = await client.deleteDeviceCertificate(certificate, notAfterMs);
        isUnderWay = true;
        await leaving;
        return answer;
      },
      // Called at the deadline, when everything else that can be closed is.
      close() {
        leave();
        client.close();
      },
    },
  });
  await expect.poll(() => isUnderWay).toBe(true);
  await shop.stop();
  expect(await readHalts(shop.redis, shop.keys.prefix)).toEqual([]);
});

it('probes a halt with what is submitted later, where all jobs have gone that could have', async () => {
  await haltAccount();
  const gone = await shop.submit(certificates(3));
  await shop.ledger.batches.change(gone, 'cancel');
  shop.start({ probeIntervalMs: 30_000 });
  await shop.settled(gone, 3);
  const batch = await shop.submit(certificates(20));
  // Half a minute and more after a probe that nobody made.
  await shop.redis.hset(`${shop.keys.prefix}:probes`, markOf(ACCOUNT), 0);
  await shop.until(batch, ({ counts }) => counts.revoked > 0);
  expect(await readHalts(shop.redis, shop.keys.prefix)).toEqual([]);
});

it('stops after a few calls where a token stays refused, however many items are in hand', async () => {
  const batch = await shop.submit(certificates(200));
  // No ramp: as many in hand as there can be.
  await shop.ledger.batches.change(batch, 'pause');
  await shop.ledger.batches.change(batch, 'resume');
  shop.faults({ kind: 'code', code: 'InvalidSecurityToken.Expired', times: 'always' });
  const { client, calls } = countingClient();
  let refreshes = 0;
  let seen: { readonly sent: number; readonly refreshes: number; readonly inHand: number } | undefined;
  const { worker } = shop.start({
    // So slow that far more items are in hand than on the wire.
    account: { name: ACCOUNT, qps: 20, instances: [INSTANCE] },
    refreshCredentials: () => {
      refreshes += 1;
    },
    client,
    tell(event) {
      if (event.kind === 'halted') seen ??= { sent: calls.sent, refreshes, inHand: worker.inHand };
    },
  });
  await expect.poll(() => seen).toBeDefined();
  // Those with the old token, those with the new one and its trial, and a few whose slots came while the halt was written.
  expect(seen?.sent).toBeLessThanOrEqual(2 * calls.mostUnderWay + TRIAL_REFUSALS + 3);
  expect(seen?.inHand).toBeGreaterThan(seen?.sent ?? Number.NaN);
  // One for all of them, one for the probe, and one more where a call began after it and was refused before the halt was told.
  expect(seen?.refreshes).toBeLessThanOrEqual(3);
  expect((await shop.until(batch, () => true)).counts).toMatchObject({ dead: 0, revoked: 0 });
});

it('fetches an expired token again once, and continues without a halt', async () => {
  const items = certificates(200);
  const batch = await shop.submit(items);
  shop.faults({ kind: 'code', code: 'InvalidSecurityToken.Expired', times: 'always' });
  let refreshes = 0;
  const { events } = shop.start({
    refreshCredentials: () => {
      refreshes += 1;
      shop.faults();
    },
  });
  const rows = await expectAccounted(shop, batch, items);
  expect(new Set(rows.map(({ outcome }) => outcome))).toEqual(new Set(['revoked']));
  expect(refreshes).toBe(1);
  expect(events.filter(({ kind }) => kind === 'halted')).toEqual([]);
});

/** A client that counts its calls. */
function countingClient() {
  const client = shop.client();
  const calls = { sent: 0, underWay: 0, mostUnderWay: 0 };
  const counting: AccountWorkerOptions['client'] = {
    ...client,
    async deleteDeviceCertificate(certificate, notAfterMs) {
      calls.sent += 1;
      calls.underWay += 1;
      calls.mostUnderWay = Math.max(calls.mostUnderWay, calls.underWay);
      const answer = await client.deleteDeviceCertificate(certificate, notAfterMs);
      calls.underWay -= 1;
      return answer;
    },
  };
  return { client: counting, calls };
}

/** The account is halted, and the first probe is due. */
async function haltAccount(): Promise<void> {
  const limiter = openLimiter({
    redis: shop.redis,
    prefix: shop.keys.prefix,
    account: { name: ACCOUNT, qps: QPS },
    egress: { id: 'here', qps: QPS },
    lateMs: 200,
    probeIntervalMs: 1,
  });
  await limiter.halt('account', INSTANCE, 'Forbidden.RAM', 'no permission');
  await limiter.close();
}
