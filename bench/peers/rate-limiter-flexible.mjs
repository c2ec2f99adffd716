// rate-limiter-flexible's Redis counter inside BullMQ workers: a job that is refused sleeps as long as the counter says and asks again.
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { RateLimiterRedis } from 'rate-limiter-flexible';
import { CAP } from './call.mjs';
import { connection, work } from './bull.mjs';

const redis = new Redis(connection);
const limiter = new RateLimiterRedis({ storeClient: redis, keyPrefix: 'pace', points: CAP, duration: 1 });

async function pace(call) {
  for (;;) {
    try {
      await limiter.consume('onsmqtt');
      break;
    } catch (refusal) {
      if (refusal instanceof Error) throw refusal;
      // Sleeping inside the job costs less than moveToDelayed, which is four steps in Redis for each refusal.
      await sleep(Math.max(1, refusal.msBeforeNext));
    }
  }
  return call();
}

work({ pace, close: () => redis.quit() });
