import { createRequire } from 'node:module';
import type { Redis, RedisOptions } from 'ioredis';
import { hush, type DebugSwitch } from '../../core/debug-switch.ts';
import { openCluster } from './cluster.ts';
import type { RedisNode } from './cluster.ts';
import { withoutCommand } from './describe-error.ts';
import * as ioredis from './ioredis.ts';

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
/** Some five seconds of a cluster that has lost a node. */
const PRODUCER_REDIRECTIONS = 50;

const debugOfIoredis = createRequire(createRequire(import.meta.url).resolve('ioredis'))('debug') as DebugSwitch;

/** Takes ioredis out of `DEBUG`: it prints every command, and with the first one of each connection the password. */
function hushIoredis(): void {
  hush(debugOfIoredis, 'ioredis', ['redis', 'connection']);
}

/** Doubling from 50 ms, at most 1 s: ioredis' and BullMQ's own backoff leaves workers idle for up to 20 s after Redis is back. */
export function retryDelayMs(times: number): number {
  // Here too: any package may turn everything on at any time, and each connection says the password.
  hushIoredis();
  return Math.min(FIRST_RETRY_MS * 2 ** Math.min(times - 1, 10), RETRY_CAP_MS);
}

/** What connections are made from. */
export interface RedisTarget {
  readonly options: RedisOptions;
  /** Where it is a cluster: the options are then those of the connection to each node. */
  readonly clusterNodes?: readonly RedisNode[];
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
export function connect(open: RedisTarget, role: RedisRole, onError: (error: Error) => void): Redis {
  hushIoredis();
  const options = connectionOptions(open.options, role);
  const tell = (error: Error): void => onError(withoutCommand(error));
  if (open.clusterNodes === undefined) return new ioredis.Redis(options).on('error', tell);
  const maxRedirections = role === 'producer' ? PRODUCER_REDIRECTIONS : Number.MAX_SAFE_INTEGER;
  const client = openCluster({ nodes: open.clusterNodes, options, retryDelayMs, maxRedirections });
  // The loss of a node is none of the cluster, and nobody else would tell it.
  client.on('node error', tell);
  return client.on('error', tell);
}

/**
 * Connects once, within `timeoutMs` and without a second try, and resolves as soon as the server has taken the connection, even while it loads its data.
 * After that the connection is kept up like any other until `disconnect`.
 * @throws the network's or server's own error, not ioredis' "Connection is closed"
 */
export async function connectOnce(
  { clusterNodes, ...options }: RedisOptions & Pick<RedisTarget, 'clusterNodes'>,
  timeoutMs: number,
  name = CONNECTION_NAME,
): Promise<Redis> {
  hushIoredis();
  let joined = false;
  let reason: Error | undefined;
  const retryOnceJoined = (times: number): number | null => (joined ? retryDelayMs(times) : null);
  const once = {
    ...options,
    replyMapping: 'legacy' as const,
    connectionName: name,
    lazyConnect: true,
    enableReadyCheck: false,
    connectTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    commandTimeout: timeoutMs,
    // How long to wait for a hung server's goodbye; two seconds by default, on top of the timeout.
    disconnectTimeout: 100,
    retryStrategy: retryOnceJoined,
    sentinelRetryStrategy: retryOnceJoined,
  };
  const client =
    clusterNodes === undefined
      ? new ioredis.Redis(once)
      : openCluster({ nodes: clusterNodes, options: once, retryDelayMs: retryOnceJoined, maxRedirections: 1 });
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
