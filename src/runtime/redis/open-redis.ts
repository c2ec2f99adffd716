import type { Redis, RedisOptions } from 'ioredis';
import { keyOwner } from './cluster.ts';
import type { RedisNode } from './cluster.ts';
import { connectOnce, waitWhileLoading } from './connection.ts';
import type { RedisTarget } from './connection.ts';
import { describeRedisError, RedisUnavailable } from './describe-error.ts';
import { findAgain, prepareDirectory } from './embedded/data-directory.ts';
import { openEmbedded } from './embedded/open-embedded.ts';
import type { OwnFolder } from './embedded/own-folder.ts';
import { givenByCluster, givenBySentinel, givenByUrl } from './given-redis.ts';
import type { ClusterPlace, GivenRedis, SentinelPlace } from './given-redis.ts';
import type { RedisNotice } from './notice.ts';

/** A Redis that answers. Close it after the connections made from it. */
export interface OpenRedis extends RedisTarget {
  readonly kind: 'given' | 'embedded';
  /** For any number of connections, see `connect`. Holds the password: never to be logged. */
  readonly options: RedisOptions;
  /** For people; without the password. */
  readonly describe: string;
  /** Only of an embedded one. */
  readonly folder?: OwnFolder;
  /** An embedded server that nobody else uses is stopped, its data on disk. May be called twice. */
  close(): Promise<void>;
}

/** Where Redis is. At most one of `url`, `sentinel` and `cluster`; without any, the data directory has its own server. */
export interface RedisPlace {
  /** redis:// or rediss:// */
  readonly url?: string;
  readonly sentinel?: SentinelPlace;
  readonly cluster?: ClusterPlace;
  /** Certificates to trust instead of those of the system, PEM. Of the three above. */
  readonly ca?: string;
  readonly dataDir: string;
  /** Of the embedded server; default everysec. `always` also turns it on in a server that runs already. */
  readonly appendFsync?: 'everysec' | 'always';
}

const GIVEN_TIMEOUT_MS = 4_000;

/**
 * Opens the given Redis, or adopts or starts the private one of the data directory.
 * @param notice - hears what is done on the way; also later, `lost` when the embedded server goes away
 * @param again - the folder that was opened before: no other one is opened, whatever the data directory's path leads to by now
 * @throws RedisUnavailable with a message for a person: within 5 s when a given Redis does not answer; FolderMoved when `again` is gone
 */
export async function openRedis(
  where: RedisPlace,
  notice: (event: RedisNotice) => void,
  again?: OwnFolder,
): Promise<OpenRedis> {
  const { url, sentinel, cluster, ca } = where;
  if (url !== undefined) return openGiven(givenByUrl(url, ca), notice);
  if (sentinel !== undefined) return openGiven(givenBySentinel(sentinel, ca), notice);
  if (cluster !== undefined) return openGiven(givenByCluster(cluster, ca), notice);
  const folder = again === undefined ? await prepareDirectory(where.dataDir, notice) : await findAgain(again);
  return { kind: 'embedded', ...(await openEmbedded(folder, where.appendFsync ?? 'everysec', notice)) };
}

async function openGiven(given: GivenRedis, notice: (event: RedisNotice) => void): Promise<OpenRedis> {
  const { options, clusterNodes, describe } = given;
  let client: Redis | undefined;
  try {
    if (clusterNodes !== undefined) await askNodes(clusterNodes, options);
    client = await connectOnce({ ...options, ...(clusterNodes && { clusterNodes }) }, GIVEN_TIMEOUT_MS);
    await waitWhileLoading(await keyOwner(client), () => notice({ kind: 'loading' }));
  } catch (error) {
    throw new RedisUnavailable(`No Redis at ${describe}. ${describeRedisError(error, describe)}`, { cause: error });
  } finally {
    client?.disconnect();
  }
  return { kind: 'given', ...given, close: () => Promise.resolve() };
}

/**
 * Resolves when one of the nodes answers as a node of a cluster. The client of a cluster would not tell why none does.
 * @throws AggregateError of the nodes' own errors
 */
async function askNodes(nodes: readonly RedisNode[], options: RedisOptions): Promise<void> {
  const ask = async ({ host, port }: RedisNode): Promise<void> => {
    const client = await connectOnce({ ...options, host, port }, GIVEN_TIMEOUT_MS);
    try {
      await client.cluster('INFO');
    } finally {
      client.disconnect();
    }
  };
  await Promise.any(nodes.map(ask));
}
