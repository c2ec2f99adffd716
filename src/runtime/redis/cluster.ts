import type { Command, Redis, RedisOptions } from 'ioredis';
import { Cluster } from './ioredis.ts';

/** The hash tag of all our keys: one slot of a cluster, and so one node at a time, holds them. */
export const KEY_TAG = '{certsweep}';

/** Where a node, or a Sentinel, listens. */
export interface RedisNode {
  readonly host: string;
  readonly port: number;
}

export interface ClusterLink {
  /** Some of the cluster's nodes; the others are learnt from them. */
  readonly nodes: readonly RedisNode[];
  /** Of the connection to each node; its `commandTimeout` holds for the cluster as a whole. */
  readonly options: RedisOptions & { readonly replyMapping: 'legacy' };
  /** Wait before all nodes are tried again; null gives up. */
  readonly retryDelayMs: (times: number) => number | null;
  /** Redirections and lost nodes that one command rides out, at most ten a second. */
  readonly maxRedirections: number;
}

/**
 * Opens a connection to a cluster. It passes for a `Redis` here, and only here: the two have the same commands, and since all our keys share one
 * hash tag, each command, script and transaction on them goes whole to the one node that holds the tag. What has no key (INFO, CONFIG, TIME,
 * SCAN, PING) would go to any node: ask `keyOwner` for the right one.
 */
export function openCluster({ nodes, options, retryDelayMs, maxRedirections }: ClusterLink): Redis {
  const { retryStrategy: _ofSingle, ...redisOptions } = options;
  const client = new DeadlineCluster([...nodes], {
    clusterRetryStrategy: retryDelayMs,
    maxRedirections,
    // A command that was told to move twice in a row must not spin.
    retryDelayOnMoved: 100,
    // A node that hangs says nothing, so only the others tell that it was replaced; by default nobody would ask them.
    slotsRefreshInterval: 3_000,
    slotsRefreshTimeout: 1_000,
    lazyConnect: options.lazyConnect ?? false,
    enableReadyCheck: options.enableReadyCheck ?? true,
    redisOptions,
    // The certificate is for the node's name, which ioredis would replace by its address.
    ...(options.tls !== undefined && { dnsLookup: (host, found) => found(null, host) }),
  });
  return client as unknown as Redis;
}

/**
 * The connection to the node that holds our keys: the client itself, where it is not of a cluster. Waits until the cluster is known.
 * @throws the client's error, CLUSTERDOWN for one, when nobody holds them
 */
export async function keyOwner(client: Redis): Promise<Redis> {
  const cluster: unknown = client;
  if (!(cluster instanceof Cluster)) return client;
  await client.exists(KEY_TAG);
  const slot = await client.cluster('KEYSLOT', KEY_TAG);
  const owner = cluster.slots[slot]?.[0];
  const node = cluster.nodes('master').find(({ options }) => `${options.host}:${options.port}` === owner);
  if (node === undefined) throw new Error(`CLUSTERDOWN no node holds the slot of ${KEY_TAG}`);
  return node;
}

export function isCluster(client: Redis): boolean {
  const cluster: unknown = client;
  return cluster instanceof Cluster;
}

/** While no node is reachable, commands wait in the cluster's own queue, where ioredis does not count their time. */
class DeadlineCluster extends Cluster {
  override sendCommand(command: Command, ...rest: SendRest): unknown {
    const deadlineMs = this.options.redisOptions?.commandTimeout;
    if (deadlineMs !== undefined) command.setTimeout(deadlineMs);
    return super.sendCommand(command, ...rest);
  }
}

type SendRest = Parameters<InstanceType<typeof Cluster>['sendCommand']> extends [unknown, ...infer Rest] ? Rest : never;
