import { randomBytes } from 'node:crypto';
import type { Redis, RedisOptions } from 'ioredis';
import { CONNECTION_NAME, waitWhileLoading } from '../connection.ts';
import { describeRedisError, RedisUnavailable } from '../describe-error.ts';
import type { RedisNotice } from '../notice.ts';
import { logPath, readLogTail, readRecord } from './data-directory.ts';
import { adoptServer, startServer, stopServer } from './embedded-server.ts';
import type { Running } from './embedded-server.ts';
import { locateServer } from './locate.ts';
import { leadsTo, type OwnFolder } from './own-folder.ts';
import { isAlive } from './process-identity.ts';
import { withStartLock } from './start-lock.ts';

/** The server of a folder, as one process uses it. */
export interface OpenEmbedded {
  /** For any number of connections. Holds the password: never to be logged. */
  readonly options: RedisOptions;
  readonly describe: string;
  readonly folder: OwnFolder;
  /** Stops the server where nobody else uses it. May be called twice. */
  close(): Promise<void>;
}

const LOCK_WAIT_MS = 60_000;

/**
 * Adopts the server of the folder, or starts one.
 * @param notice - hears what is done on the way; also later, `lost` when the server goes away
 * @throws RedisUnavailable with a message for a person
 */
export async function openEmbedded(
  folder: OwnFolder,
  appendFsync: 'everysec' | 'always',
  notice: (event: RedisNotice) => void,
): Promise<OpenEmbedded> {
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
