// The BullMQ queue that five of the programs share: a job for each certificate, acknowledged after success, tried again on network errors.
import { UnrecoverableError, Worker } from 'bullmq';
import { isTransient, revoke } from './call.mjs';

export const QUEUE = 'revoke';
export const connection = {
  path: process.env.PEER_REDIS_SOCKET,
  password: process.env.PEER_REDIS_PASSWORD,
  maxRetriesPerRequest: null,
};
export const JOB = { attempts: 10, backoff: { type: 'exponential', delay: 200 }, removeOnComplete: true };

/** Twice what 490 calls a second of 20 ms need, and room for the waiting that limiters do inside the job. */
const CONCURRENCY = 50;
/** Shorter than BullMQ's own 30 s: what a killed process had in hand is taken up sooner. The same as certsweep's. */
const LOCK = { lockDuration: 6_000, stalledInterval: 2_000, maxStalledCount: 100 };

/**
 * Works until SIGTERM.
 * @param pace - waits for a turn and makes the call; also given the serial number
 * @param limiter - BullMQ's own
 */
export function work({ pace = (call) => call(), limiter, close = async () => undefined } = {}) {
  const worker = new Worker(
    QUEUE,
    async ({ data: { deviceSn } }) => {
      try {
        await pace(() => revoke(deviceSn), deviceSn);
      } catch (error) {
        // Any other answer will be the same next time: one call is enough.
        throw isTransient(error) ? new Error(error.message) : new UnrecoverableError(error.code);
      }
    },
    { connection, concurrency: CONCURRENCY, ...LOCK, ...(limiter !== undefined && { limiter }) },
  );
  worker.on('error', (error) => console.error(error.message));
  const leave = async () => {
    await worker.close();
    await close();
    process.exit(0);
  };
  process.once('SIGTERM', () => void leave());
}
