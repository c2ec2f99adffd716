import type { RedisOptions } from 'ioredis';
import type { RedisNode } from './cluster.ts';
import { retryDelayMs } from './connection.ts';
import { RedisUnavailable } from './describe-error.ts';
import { verifiedTls } from './encryption.ts';
import { parseNode, parseRedisUrl } from './redis-url.ts';

/** User and password of Redis itself; never to be logged. */
export interface RedisAccess {
  readonly username?: string;
  readonly password?: string;
}

/** Sentinels that know which server is the primary. */
export interface SentinelPlace extends RedisAccess {
  /** Of the primary, as in `sentinel monitor <name>`. */
  readonly name: string;
  /** Sentinels, each `host:port`. */
  readonly nodes: readonly string[];
  /** To the Sentinels and to Redis. */
  readonly tls?: boolean;
  /** Of the Sentinels. */
  readonly sentinelPassword?: string;
}

/** A Redis Cluster. */
export interface ClusterPlace extends RedisAccess {
  /** Some of its nodes, each `host:port`. */
  readonly nodes: readonly string[];
  readonly tls?: boolean;
}

/** How a given Redis is reached. */
export interface GivenRedis {
  /** Of a connection, or of the connection to each node of a cluster. Holds the password: never to be logged. */
  readonly options: RedisOptions;
  /** Only of a cluster. */
  readonly clusterNodes?: readonly RedisNode[];
  /** For people; without the password. */
  readonly describe: string;
}

/** A Sentinel that hangs is passed over after so long. */
const SENTINEL_ANSWER_MS = 1_000;

/**
 * @param ca - certificates to trust instead of those of the system, PEM
 * @throws RedisUnavailable when the URL cannot be read
 */
export function givenByUrl(url: string, ca?: string): GivenRedis {
  const parsed = parseRedisUrl(url);
  if (!parsed.ok) throw new RedisUnavailable(`redis.url cannot be used: ${parsed.remedy}`);
  const { options, describe } = parsed;
  return { options: options.tls === undefined ? options : { ...options, tls: verifiedTls(ca) }, describe };
}

/**
 * @param ca - certificates to trust instead of those of the system, PEM
 * @throws RedisUnavailable when a node cannot be read
 */
export function givenBySentinel(
  { name, nodes, tls, sentinelPassword, ...access }: SentinelPlace,
  ca?: string,
): GivenRedis {
  const options: RedisOptions = {
    sentinels: readNodes('redis.sentinel.nodes', nodes),
    name,
    role: 'master',
    ...access,
    ...(sentinelPassword !== undefined && { sentinelPassword }),
    ...(tls === true && { tls: verifiedTls(ca), sentinelTLS: verifiedTls(ca), enableTLSForSentinelMode: true }),
    sentinelCommandTimeout: SENTINEL_ANSWER_MS,
    sentinelRetryStrategy: retryDelayMs,
    // A primary that hangs, or is cut off with us, keeps its connections: the Sentinels tell that it is none any more.
    failoverDetector: true,
    // One that was demoted says so before the Sentinels do: look for the new one and ask that again.
    reconnectOnError: (error) => (error.message.includes('READONLY') ? 2 : false),
  };
  return { options, describe: `the primary ${name} of the Sentinels ${nodes.join(', ')}` };
}

/**
 * @param ca - certificates to trust instead of those of the system, PEM
 * @throws RedisUnavailable when a node cannot be read
 */
export function givenByCluster({ nodes, tls, ...access }: ClusterPlace, ca?: string): GivenRedis {
  const options: RedisOptions = { ...access, ...(tls === true && { tls: verifiedTls(ca) }) };
  const clusterNodes = readNodes('redis.cluster.nodes', nodes);
  return { options, clusterNodes, describe: `the cluster of ${nodes.join(', ')}` };
}

function readNodes(key: string, nodes: readonly string[]): RedisNode[] {
  return nodes.map((text) => {
    const node = parseNode(text);
    if (node === undefined) throw new RedisUnavailable(`${key} cannot be used: write each as host:port`);
    return node;
  });
}
