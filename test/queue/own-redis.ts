import { connect } from '../../src/runtime/redis/connection.ts';
import { startTestRedis } from '../support/redis.ts';
import { Workshop } from './workshop.ts';

/** For tests that count what a server does, or have it refuse: a workshop on a server of its own, so that several may run beside each other. */
export async function onOwnRedis(test: (shop: Workshop) => Promise<void>): Promise<void> {
  const server = await startTestRedis();
  try {
    const { options } = server;
    const client = connect({ options }, 'producer', () => undefined);
    const cleanup = (): Promise<void> => Promise.resolve(client.disconnect());
    const shop = await Workshop.open({}, { options, prefix: '{certsweep}', client, cleanup });
    try {
      await test(shop);
    } finally {
      await shop.close();
    }
  } finally {
    await server.stop();
  }
}
