import { Queue, type Job } from 'bullmq';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { QueueWorker } from '../../../src/queue/worker/queue-worker.ts';
import { connect } from '../../../src/runtime/redis/connection.ts';
import { startTestRedis } from '../../support/redis.ts';

const QUEUE = 'revoke-default';
const PREFIX = '{certsweep}';

let server: Awaited<ReturnType<typeof startTestRedis>>;
let redis: Redis;
const workers: QueueWorker[] = [];
// A server of its own: it counts the connections that wait.
beforeEach(async () => {
  server = await startTestRedis();
  redis = connect({ options: server.options }, 'worker', () => undefined);
});
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.close()));
  redis.disconnect();
  await server.stop();
});

function open(run: (job: Job) => Promise<void>): QueueWorker {
  const onError = (error: Error): void => console.error(error);
  const worker = new QueueWorker({ queue: QUEUE, redis, prefix: PREFIX, run, pollEveryS: 1, onError }, 1);
  workers.push(worker);
  return worker;
}

/** Connections that wait for a queue's next job. */
async function waiting(): Promise<number> {
  const clients = String(await redis.client('LIST'));
  return clients.split('\n').filter((line) => line.includes('cmd=bzpopmin')).length;
}

it('a worker that pauses while it waits costs the others of a given-back job a second at most', async () => {
  const queue = new Queue(QUEUE, { connection: redis, prefix: PREFIX, skipVersionCheck: true });
  try {
    const paused = open(() => Promise.reject(new Error('a paused worker takes nothing')));
    await expect.poll(waiting).toBe(1);
    const taken = new Promise<number>((resolve) => {
      open((job) => Promise.resolve(resolve(Date.now() - job.timestamp)));
    });
    await expect.poll(waiting).toBe(2);
    // Redis wakes the one that waits for longest: this one, or after a while the other.
    paused.take(0);
    // As a job that another process gives back.
    await queue.add('revoke', {}, { delay: 500 });
    // BullMQ's default is 5 s, nearly all of which is left here.
    expect(await taken).toBeLessThan(4_000);
  } finally {
    await queue.close();
  }
});
