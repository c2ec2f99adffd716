import { afterEach, beforeEach, expect, it } from 'vitest';
import { Ledger } from '../../../src/ledger/ledger.ts';
import { connect } from '../../../src/runtime/redis/connection.ts';
import { startRedisProxy, type RedisProxy } from '../../support/redis-proxy.ts';
import { certificates, expectAccounted, Workshop } from '../workshop.ts';

let shop: Workshop;
let proxy: RedisProxy;
beforeEach(async () => {
  shop = await Workshop.open();
  proxy = await startRedisProxy(shop.keys.options.path ?? '');
});
afterEach(async () => {
  await shop.close();
  await proxy.close();
});

it.each([
  ['revoked', []],
  ['already-gone', ['FindDeviceBySnError']],
  ['dead', ['FindCaBySnError']],
] as const)('an item whose settling was sent twice is told as %s all the same, and once', async (outcome, codes) => {
  const { path: _direct, ...options } = shop.keys.options;
  const redis = connect({ options: { ...options, host: '127.0.0.1', port: proxy.port } }, 'worker', () => undefined);
  shop.faults(...codes.map((code) => ({ kind: 'code', code, times: 'always' }) as const));
  const client = shop.client();
  let to: string | undefined;
  const { events } = shop.start({
    redis,
    ledger: new Ledger(redis, shop.keys.prefix),
    client: {
      ...client,
      deleteDeviceCertificate: async (...call) => {
        const answer = await client.deleteDeviceCertificate(...call);
        // Its settling reaches Redis, and the reply never comes.
        if (to !== undefined) proxy.loseReply = { to };
        return answer;
      },
    },
  });
  const told = (batch: string): object[] =>
    events.filter((event) => event.kind === 'settled' && event.item.batch === batch);
  // One before, so that Redis has the script.
  for (const isLost of [false, true]) {
    const items = certificates(1);
    const batch = await shop.submit(items);
    to = isLost ? `${batch}:ledger` : undefined;
    await expectAccounted(shop, batch, items);
    await expect.poll(() => told(batch).length).toBe(1);
    expect(told(batch)).toMatchObject([{ outcome, how: 'settled' }]);
    expect(proxy.loseReply).toBeUndefined();
  }
  redis.disconnect();
});
