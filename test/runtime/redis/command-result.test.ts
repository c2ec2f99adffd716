import { once } from 'node:events';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { resultOf } from '../../../src/runtime/redis/command-result.ts';
import { startRedisProxy, type RedisProxy } from '../../support/redis-proxy.ts';
import { testRedis } from '../../support/redis.ts';

const keys = testRedis();
let proxy: RedisProxy;
let redis: Redis;
beforeEach(async () => {
  proxy = await startRedisProxy(keys.options.path ?? '');
  const { path: _direct, ...options } = keys.options;
  // It tries again when it is told to.
  const patient = { commandTimeout: 200, retryStrategy: () => 600_000 };
  redis = new Redis({ ...options, ...patient, host: '127.0.0.1', port: proxy.port, replyMapping: 'legacy' });
  redis.on('error', () => undefined);
  // A command that waits for the connection may give up before it stands.
  await once(redis, 'ready');
});
afterEach(async () => {
  redis.disconnect();
  await proxy.close();
  await keys.cleanup();
});

it('is unknown of a command that only its sender has given up: it leaves when the connection is back', async () => {
  const isLost = new Promise((resolve) => redis.once('reconnecting', resolve));
  proxy.down = true;
  await isLost;
  const key = `${keys.prefix}:late`;
  expect(await resultOf(redis, () => redis.set(key, 'here'))).toMatchObject({ kind: 'unknown' });
  expect(await keys.client.get(key)).toBeNull();
  proxy.down = false;
  await redis.connect();
  await expect.poll(() => keys.client.get(key)).toBe('here');
});
