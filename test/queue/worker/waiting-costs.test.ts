import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { readHalts } from '../../../src/limiter/halts/halt-store.ts';
import { clearStop, setStop } from '../../../src/limiter/halts/stop.ts';
import { openFleet } from '../../support/fleet.ts';
import { onOwnRedis } from '../own-redis.ts';
import { ACCOUNT, certificates, INSTANCE, KEY, withoutRamp, type Workshop } from '../workshop.ts';

const ITEMS = 5_000;
/** The pace at which nothing else than the pause or halt keeps anything back. */
const account = { name: ACCOUNT, qps: 400, instances: [INSTANCE] };
/** From then on waiting costs nothing. */
const SETTLES_IN_MS = 10_000;
const WINDOW_MS = 6_000;
const MOST_WAITING = 200;
/** Of each further process. */
const MOST_FURTHER = 60;
const MOST_IDLE = 60;
const WITHIN = { interval: 20 };

/** Commands that the server has done, those inside scripts too. */
async function commands({ redis }: { readonly redis: Redis }): Promise<number> {
  const text = await redis.info('commandstats');
  const calls = [...text.matchAll(/^cmdstat_[^:]+:calls=(\d+)/gm)].map(([, count]) => Number(count));
  return calls.reduce((sum, count) => sum + count, 0);
}

const pass = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Per second, over a while: what is measured here is time itself. */
async function commandRate(at: { readonly redis: Redis }, windowMs = WINDOW_MS): Promise<number> {
  const [before, sinceMs] = [await commands(at), performance.now()];
  await pass(windowMs);
  return ((await commands(at)) - before) / ((performance.now() - sinceMs) / 1_000);
}

async function submitted(shop: Workshop): Promise<string> {
  return withoutRamp(shop, await shop.submit(certificates(ITEMS)));
}

// Each has a Redis of its own, and most of its time it waits.
describe.concurrent('what waits', () => {
  it('a paused backlog makes few Redis commands', () =>
    onOwnRedis(async (shop) => {
      const batch = await submitted(shop);
      shop.start({ account });
      await shop.until(batch, ({ counts }) => counts.revoked >= 200);
      await shop.ledger.batches.change(batch, 'pause');
      await pass(SETTLES_IN_MS);
      const { revoked } = (await shop.until(batch, () => true)).counts;
      expect(await commandRate(shop)).toBeLessThanOrEqual(MOST_WAITING);
      expect((await shop.until(batch, () => true)).counts).toMatchObject({ revoked, dead: 0, cancelled: 0 });
      // And it goes on at once when it is resumed.
      await shop.ledger.batches.change(batch, 'resume');
      await shop.until(batch, ({ counts }) => counts.revoked > revoked);
    }));

  it('a stopped backlog makes few Redis commands', () =>
    onOwnRedis(async (shop) => {
      const batch = await submitted(shop);
      shop.start({ account });
      await shop.until(batch, ({ counts }) => counts.revoked >= 200);
      const { stop } = await setStop(shop.redis, shop.keys.prefix, {});
      await pass(SETTLES_IN_MS);
      const { revoked } = (await shop.until(batch, () => true)).counts;
      expect(await commandRate(shop)).toBeLessThanOrEqual(MOST_WAITING);
      expect((await shop.until(batch, () => true)).counts).toMatchObject({ revoked, dead: 0, cancelled: 0 });
      await clearStop(shop.redis, shop.keys.prefix, stop, {});
      await shop.until(batch, ({ counts }) => counts.revoked > revoked);
    }));

  it('a halted backlog makes few Redis commands', () =>
    onOwnRedis(async (shop) => {
      const batch = await submitted(shop);
      shop.start({ account });
      await shop.until(batch, ({ counts }) => counts.revoked >= 200);
      shop.sandbox.revokeKey(KEY.accessKeyId, 'Forbidden.RAM');
      await expect.poll(async () => readHalts(shop.redis, shop.keys.prefix), WITHIN).toHaveLength(1);
      await pass(SETTLES_IN_MS);
      expect(await commandRate(shop)).toBeLessThanOrEqual(MOST_WAITING);
      expect((await shop.until(batch, () => true)).counts).toMatchObject({ dead: 0, cancelled: 0 });
    }));

  it('a backlog whose one instance is halted makes few Redis commands', () =>
    onOwnRedis(async (shop) => {
      const batch = await submitted(shop);
      shop.start({ account });
      await shop.until(batch, ({ counts }) => counts.revoked >= 200);
      shop.faults({ kind: 'code', code: 'MqttInstanceNotFound', times: 'always' });
      await expect
        .poll(async () => readHalts(shop.redis, shop.keys.prefix), WITHIN)
        .toMatchObject([{ instanceId: INSTANCE }]);
      await pass(SETTLES_IN_MS);
      expect(await commandRate(shop)).toBeLessThanOrEqual(MOST_WAITING);
    }));

  it('an idle worker, as it is started, makes fewer', async () => {
    const fleet = await openFleet();
    try {
      await fleet.startWorker();
      const redis = await fleet.redis();
      await pass(SETTLES_IN_MS);
      // Some of it is done every ten seconds.
      expect(await commandRate({ redis }, 2 * WINDOW_MS)).toBeLessThanOrEqual(MOST_IDLE);
      redis.disconnect();
    } finally {
      await fleet.remove();
    }
  });

  it('each further process adds little to a paused backlog', () =>
    onOwnRedis(async (shop) => {
      const batch = await submitted(shop);
      for (let process = 0; process < 3; process += 1) shop.start({ account });
      await shop.until(batch, ({ counts }) => counts.revoked >= 200);
      await shop.ledger.batches.change(batch, 'pause');
      await pass(SETTLES_IN_MS);
      expect(await commandRate(shop)).toBeLessThanOrEqual(MOST_WAITING + 2 * MOST_FURTHER);
    }));
});
