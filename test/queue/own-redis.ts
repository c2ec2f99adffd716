import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { connect } from '../../src/runtime/redis/connection.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { Workshop } from './workshop.ts';

/**
 * For tests that count what a server does, or have it refuse: the file has a server for itself, and each test a workshop on it, empty.
 * @returns the workshop of the test that runs
 */
export function onOwnRedis(): () => Workshop {
  let server: TestRedis;
  let shop: Workshop;
  beforeAll(async () => {
    server = await startTestRedis();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    const { options } = server;
    const client = connect({ options }, 'producer', () => undefined);
    const cleanup = (): Promise<void> => Promise.resolve(client.disconnect());
    shop = await Workshop.open({}, { options, prefix: '{certsweep}', client, cleanup });
    await shop.redis.flushall();
  });
  afterEach(() => shop.close());
  return () => shop;
}
