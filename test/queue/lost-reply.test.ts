import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Certificate } from '../../src/core/certificate.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { connect } from '../../src/runtime/redis/connection.ts';
import { startRedisProxy, type RedisProxy } from '../support/redis-proxy.ts';
import { certificates, expectAccounted, Workshop } from './workshop.ts';

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
  const [item] = certificates(1) as [Certificate];
  shop.faults(...codes.map((code) => ({ kind: 'code', code, times: 'always' }) as const));
  const batch = await shop.submit([item]);
  const client = shop.client();
  const { events } = shop.start({
    redis,
    ledger: new Ledger(redis, shop.keys.prefix),
    client: {
      ...client,
      deleteDeviceCertificate: async (...call) => {
        const answer = await client.deleteDeviceCertificate(...call);
        proxy.mute = true;
        return answer;
      },
    },
  });
  // Redis has it, and the worker has not heard.
  await shop.settled(batch, 1);
  expect(events.filter(({ kind }) => kind === 'settled')).toEqual([]);
  proxy.mute = false;
  proxy.cut();
  await expectAccounted(shop, batch, [item]);
  await expect.poll(() => events.filter(({ kind }) => kind === 'settled').length, { timeout: 20_000 }).toBe(1);
  expect(events.find(({ kind }) => kind === 'settled')).toMatchObject({ settlement: { outcome }, how: 'drained' });
  redis.disconnect();
});
