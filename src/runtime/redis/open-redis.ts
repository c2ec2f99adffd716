import { randomBytes } from 'node:crypto';
import type { Redis, RedisOptions } from 'ioredis';
import { keyOwner } from './cluster.ts';
import type { RedisNode } from './cluster.ts';
import { CONNECTION_NAME, connectOnce, waitWhileLoading } from './connection.ts';
import type { RedisTarget } from './connection.ts';
import { findAgain, logPath, prepareDirectory, readLogTail, readRecord } from './data-directory.ts';
import { describeRedisError, RedisUnavailable } from './describe-error.ts';
import { adoptServer, startServer, stopServer } from './embedded-server.ts';
import type { Running } from './embedded-server.ts';
import { givenByCluster, givenBySentinel, givenByUrl } from './given-redis.ts';
import type { ClusterPlace, GivenRedis, SentinelPlace } from './given-redis.ts';
import { locateServer } from './locate.ts';
import type { RedisNotice } from './notice.ts';
import { leadsTo, type OwnFolder } from './own-folder.ts';
import { isAlive } from './process-identity.ts';
import { withStartLock } from './start-lock.ts';

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
  readonly dataDir: string;
  /** Of the embedded server; default everysec. `always` also turns it on in a server that runs already. */
  readonly appendFsync?: 'everysec' | 'always';
}

const GIVEN_TIMEOUT_MS = 4_000;
const LOCK_WAIT_MS = 60_000;

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
  const { url, sentinel, cluster } = where;
  if (url !== undefined) return openGiven(givenByUrl(url), notice);
  if (sentinel !== undefined) return openGiven(givenBySentinel(sentinel), notice);
  if (cluster !== undefined) return openGiven(givenByCluster(cluster), notice);
  const folder = again === undefined ? await prepareDirectory(where.dataDir, notice) : await findAgain(again);
  return openEmbedded(folder, where.appendFsync ?? 'everysec', notice);
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

async function openEmbedded(
  folder: OwnFolder,
  appendFsync: 'everysec' | 'always',
  notice: (event: RedisNotice) => void,
): Promise<OpenRedis> {
  const directory = folder.path;
  // One connection per opening tells other processes that the server is in use; its name tells it from the ordinary ones.
  const presence = `${CONNECTION_NAME}:${randomBytes(4).toString('hex')}`;
  const running = await join(folder, presence, appendFsync, notice);
  const { client, options } = running;
  try {
    await waitWhileLoading(client, () => notice({ kind: 'loading' }));
    if (appendFsync === 'always') await client.config('SET', 'appendfsync', 'always');
  } catch (error) {
    client.disconnect();
    throw new RedisUnavailable(
      `The Redis of ${directory} did not come up. ${describeRedisError(error)}. Its log ${logPath(directory)} ends with: ${await readLogTail(directory)}`,
      { cause: error },
    );
  }
  let closing: Promise<void> | undefined;
  // Every failed attempt to come back ends with "close" too; one loss is told once.
  let isUp = true;
  client.on('ready', () => (isUp = true));
  client.on('close', () => {
    if (isUp && closing === undefined) notice({ kind: 'lost', pid: running.process.pid });
    isUp = false;
  });
  return {
    kind: 'embedded',
    options,
    describe: `embedded Redis in ${directory}`,
    folder,
    close: () => (closing ??= leave(folder, running, presence, notice)),
  };
}

async function join(
  folder: OwnFolder,
  presence: string,
  appendFsync: 'everysec' | 'always',
  notice: (event: RedisNotice) => void,
): Promise<Running> {
  const directory = folder.path;
  const adopt = async (lock: { readonly afterDeath: boolean }) => {
    const adopted = await adoptServer(folder, presence, lock.afterDeath);
    if (adopted !== undefined) notice({ kind: 'adopted', pid: adopted.process.pid });
    return adopted;
  };
  const adopted = await withStartLock(directory, LOCK_WAIT_MS, adopt);
  if (adopted !== undefined) return adopted;
  // Without the lock: unpacking may take as long as the network likes.
  const binary = await locateServer((await readRecord(directory))?.writer, notice);
  return withStartLock(directory, LOCK_WAIT_MS, async (lock) => {
    const other = await adopt(lock);
    if (other !== undefined) return other;
    notice({ kind: 'starting', binary, directory });
    const startMs = performance.now();
    const started = await startServer(folder, binary, appendFsync, presence);
    notice({ kind: 'started', pid: started.process.pid, tookMs: Math.round(performance.now() - startMs) });
    return started;
  });
}

/** Under the lock, so that nobody adopts the server between counting its users and stopping it. */
async function leave(
  folder: OwnFolder,
  running: Running,
  presence: string,
  notice: (event: RedisNotice) => void,
): Promise<void> {
  const directory = folder.path;
  if (!(await leadsTo(directory, folder))) {
    // What is there now, and its lock, are none of ours.
    running.client.disconnect();
    const { pid } = running.process;
    if (await isAlive(running.process)) notice({ kind: 'left-behind', pid, directory });
    return;
  }
  await withStartLock(directory, LOCK_WAIT_MS, async (lock) => {
    running.client.disconnect();
    // Asked again: the server may have died since, and another process may have started the next one.
    const current = await adoptServer(folder, presence, lock.afterDeath);
    if (current === undefined) return;
    const { pid } = current.process;
    try {
      const clients = await countOthers(current.client, presence);
      if (clients > 0) return notice({ kind: 'left-running', pid, clients });
      await stopServer(directory, current);
      notice({ kind: 'stopped', pid });
    } finally {
      current.client.disconnect();
    }
  });
}

/** Connections of others: anyone but the ordinary ones of this process, which its owner is closing. BullMQ renames its own, so a name of ours is not asked for. */
async function countOthers(client: Redis, presence: string): Promise<number> {
  const list = String(await client.client('LIST'));
  const names = list.split('\n').flatMap((line) => / name=(\S*)/.exec(line)?.slice(1, 2) ?? []);
  return names.filter((name) => name !== presence && name !== CONNECTION_NAME).length;
}
