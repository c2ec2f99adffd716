import { Redis } from 'ioredis';
import type { RedisOptions } from 'ioredis';
import { withoutCommand } from './describe-error.ts';

/**
 * What a connection is for.
 * - `blocking`: waits in Redis for work (BullMQ's fetch); used for nothing else
 * - `worker`: everything else a worker does; rides out an outage, since what it has begun must end
 * - `producer`: someone waits for the answer, so it fails within seconds
 */
export type RedisRole = 'blocking' | 'worker' | 'producer';

/** Replies in one shape, whatever protocol the server speaks; it also picks the client's type. */
type ConnectionOptions = RedisOptions & { readonly replyMapping: 'legacy' };

/** Name of every ordinary connection of this process in CLIENT LIST. */
export const CONNECTION_NAME = `certsweep:${process.pid}`;

const RETRY_CAP_MS = 1_000;
const FIRST_RETRY_MS = 50;

/** Doubling from 50 ms, at most 1 s: ioredis' and BullMQ's own backoff leaves workers idle for up to 20 s after Redis is back. */
export function retryDelayMs(times: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** Math.min(times - 1, 10), RETRY_CAP_MS);
}

/** The options of a role on top of where Redis is. A hung server shows after `socketTimeout`, which is longer than any of BullMQ's blocking waits. */
export function connectionOptions(options: RedisOptions, role: RedisRole): ConnectionOptions {
  const shared: ConnectionOptions = {
    ...options,
    replyMapping: 'legacy',
    connectionName: CONNECTION_NAME,
    enableReadyCheck: true,
    connectTimeout: 5_000,
    retryStrategy: retryDelayMs,
  };
  switch (role) {
    case 'blocking':
      return { ...shared, maxRetriesPerRequest: null };
    case 'worker':
      return { ...shared, maxRetriesPerRequest: null, socketTimeout: 30_000 };
    case 'producer':
      return { ...shared, maxRetriesPerRequest: 2, commandTimeout: 10_000 };
  }
}

/**
 * Opens a connection of the role; it connects by itself and again after every loss.
 * @param onError - hears every connection error, without the command and its arguments
 */
export function connect(
  open: { readonly options: RedisOptions },
  role: RedisRole,
  onError: (error: Error) => void,
): Redis {
  const client = new Redis(connectionOptions(open.options, role));
  client.on('error', (error: Error) => onError(withoutCommand(error)));
  return client;
}

/**
 * Connects once, within `timeoutMs` and without a second try, and resolves as soon as the server has taken the connection, even while it loads its data.
 * After that the connection is kept up like any other until `disconnect`.
 * @throws the network's or server's own error, not ioredis' "Connection is closed"
 */
export async function connectOnce(options: RedisOptions, timeoutMs: number, name = CONNECTION_NAME): Promise<Redis> {
  let joined = false;
  let reason: Error | undefined;
  const client = new Redis({
    ...options,
    replyMapping: 'legacy',
    connectionName: name,
    lazyConnect: true,
    enableReadyCheck: false,
    connectTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    commandTimeout: timeoutMs,
    // How long to wait for a hung server's goodbye; two seconds by default, on top of the timeout.
    disconnectTimeout: 100,
    retryStrategy: (times) => (joined ? retryDelayMs(times) : null),
  });
  client.on('error', (error: Error) => {
    reason = withoutCommand(error);
  });
  try {
    await client.connect();
  } catch (error) {
    client.disconnect();
    throw reason ?? error;
  }
  joined = true;
  return client;
}

/** Waits until the server has loaded its data; `onLoading` is called once when it has to wait. */
export async function waitWhileLoading(client: Redis, onLoading: () => void): Promise<void> {
  for (let waited = false; ; waited = true) {
    try {
      await client.ping();
      return;
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('LOADING')) throw error;
    }
    if (!waited) onLoading();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
