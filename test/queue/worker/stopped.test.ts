import { afterEach, beforeEach, expect, it } from 'vitest';
import { directBatchOf } from '../../../src/ledger/direct-items.ts';
import { clearStop, setStop } from '../../../src/limiter/halts/stop.ts';
import { readSamples, sampledClocks } from '../../../src/limiter/pace/samples.ts';
import { logWorkerEvent } from '../../../src/queue/worker/worker-log.ts';
import type { LogEvent } from '../../../src/runtime/logger.ts';
import { ACCOUNT, certificates, expectAccounted, INSTANCE, withoutRamp, Workshop } from '../workshop.ts';

let shop: Workshop;
beforeEach(async () => {
  shop = await Workshop.open({ latency: { kind: 'fixed', ms: 20 } });
});
afterEach(() => shop.close());

/** After it no call may leave, milliseconds. */
const WITHIN_MS = 2_000;
const pass = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

it('a stop ends all calls within two seconds, direct jobs included, loses nothing, and outlives the workers', async () => {
  const items = certificates(800);
  const batch = await withoutRamp(shop, await shop.submit(items));
  const direct = directBatchOf(ACCOUNT);
  const client = shop.client();
  let lastSentMs = 0;
  const counting = {
    ...client,
    close: () => client.close(),
    deleteDeviceCertificate: (...args: Parameters<typeof client.deleteDeviceCertificate>) => {
      lastSentMs = performance.now();
      return client.deleteDeviceCertificate(...args);
    },
  };
  const account = { name: ACCOUNT, qps: 200, instances: [INSTANCE] };
  const running = [shop.start({ account, client: counting }), shop.start({ account, client: counting })];
  await shop.until(batch, ({ counts }) => counts.revoked >= 100);
  const { stop } = await setStop(shop.redis, shop.keys.prefix, { requestedBy: 'ada', reason: 'wrong fleet' });
  const stoppedMs = performance.now();
  for (const item of certificates(10)) await shop.addJob({ v: 1, ...item });
  for (const { events } of running) {
    await expect.poll(() => events.filter(({ kind }) => kind === 'stopped').length).toBe(1);
  }
  await expect.poll(() => running.reduce((sum, { worker }) => sum + worker.inHand, 0)).toBe(0);
  // Time in which a call might leave that should not.
  await pass(1.5 * WITHIN_MS);
  expect(lastSentMs - stoppedMs).toBeLessThan(WITHIN_MS);
  const { revoked } = (await shop.until(batch, () => true)).counts;
  expect(revoked).toBeLessThan(items.length);
  // Each line names who and why, for those who only see the log.
  const lines: LogEvent[] = [];
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: (line: LogEvent) => void lines.push(line) };
  for (const event of running[0]?.events ?? []) if (event.kind === 'stopped') logWorkerEvent(log, ACCOUNT, event);
  expect(lines).toMatchObject([
    { event: 'stopped', requestedBy: 'ada', message: expect.stringContaining('certsweep start --all') },
  ]);
  // The process that feeds has sampled both clocks, each once in ten seconds.
  const { prefix } = shop.keys;
  const clocks = [{ account: ACCOUNT }, { egress: 'here' }];
  expect(await sampledClocks(shop.redis, prefix)).toEqual(expect.arrayContaining(clocks));
  for (const clock of clocks) expect((await readSamples(shop.redis, prefix, clock)).length).toBeGreaterThan(0);
  // One that starts meanwhile calls as little.
  await shop.stop();
  const { events } = shop.start({ account });
  await expect.poll(() => events.some(({ kind }) => kind === 'stopped')).toBe(true);
  await pass(WITHIN_MS / 2);
  expect((await shop.until(batch, () => true)).counts).toMatchObject({ revoked, dead: 0, cancelled: 0 });
  expect(await clearStop(shop.redis, shop.keys.prefix, stop, {})).toBe('started');
  await shop.until(direct, ({ counts }) => counts.revoked === 10);
  const rows = await expectAccounted(shop, batch, items);
  expect(new Set(rows.map(({ outcome }) => outcome))).toEqual(new Set(['revoked']));
  expect(shop.sandbox.deletedCount).toBe(items.length + 10);
  expect(events.filter(({ kind }) => kind === 'started')).toHaveLength(1);
});
