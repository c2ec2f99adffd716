import { afterEach, beforeEach, expect, it } from 'vitest';
import { ACCOUNT, certificates, INSTANCE, withoutRamp, Workshop } from '../workshop.ts';

let shop: Workshop;
beforeEach(async () => {
  shop = await Workshop.open();
});
afterEach(() => shop.close());

it('an urgent batch overtakes a bulk one whose blocks are in hand, at a pace of one a second', async () => {
  const bulk = await withoutRamp(shop, await shop.submit(certificates(300)));
  const called: string[] = [];
  const leftAtMs: number[] = [];
  const client = shop.client();
  shop.start({
    account: { name: ACCOUNT, qps: 1, instances: [INSTANCE] },
    client: {
      ...client,
      deleteDeviceCertificate(certificate, notAfterMs) {
        called.push(certificate.deviceSn);
        leftAtMs.push(performance.now());
        return client.deleteDeviceCertificate(certificate, notAfterMs);
      },
    },
  });
  await shop.until(bulk, ({ counts }) => counts.revoked >= 2);
  const [item] = certificates(1);
  const before = called.length;
  const urgent = await shop.submit([item ?? { instanceId: '', caSn: '', deviceSn: '' }], 'urgent');
  await shop.settled(urgent, 1);
  // Within a second the slots of two calls may have gone to the bulk, and one that was given already.
  expect(called.indexOf(item?.deviceSn ?? '') - before).toBeLessThanOrEqual(2);
  expect((await shop.until(bulk, () => true)).counts).toMatchObject({ dead: 0, alreadyGone: 0 });
  const gaps = leftAtMs.slice(1).map((ms, at) => ms - (leftAtMs[at] ?? 0));
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(1_000);
});
