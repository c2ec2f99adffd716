import { spawn } from 'node:child_process';
import { open, type FileHandle } from 'node:fs/promises';
import type { Redis, RedisOptions } from 'ioredis';
import { connectOnce } from '../connection.ts';
import { describeRedisError, RedisUnavailable } from '../describe-error.ts';
import { logPath, readLogTail, readPassword, readRecord, writeConfiguration, writeRecord } from './data-directory.ts';
import type { ServerRecord } from './data-directory.ts';
import { appendToOwnFile, refusePlantedData } from './own-files.ts';
import { leadsTo, openAgain, type OwnFolder } from './own-folder.ts';
import { privateSocketOptions, socketOf } from './private-socket.ts';
import { identify, isAlive, mayWorkIn } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';
import { serverEnvironment } from './server-binary.ts';
import type { ServerBinary } from './server-binary.ts';

/** One server, running, with a connection to it. */
export interface Running {
  readonly client: Redis;
  readonly options: RedisOptions;
  readonly record: ServerRecord;
  readonly process: ProcessIdentity;
}

interface Child {
  /** Undefined where it could not be spawned. */
  readonly pid: number | undefined;
  /** How it ended; undefined while it runs. */
  ended(): string | undefined;
  kill(): void;
}

const ANSWER_MS = 5_000;
/** From spawn to listening takes some 20 ms; a busy machine may need much longer. */
const START_MS = 20_000;
/** Flushing the last of the append-only file on a slow disk. */
const STOP_MS = 30_000;
/** From closing its connections to the end of its process. */
const LAST_WORDS_MS = 2_000;
const POLL_MS = 20;

/**
 * Connects to the server that already runs on the directory, by whatever process it was started. Call under the start lock.
 * @param afterDeath - the lock's last holder died, and may have spawned a server that does not listen yet
 * @returns undefined when none runs, for certain: two servers on one append-only file would destroy it
 * @throws RedisUnavailable when one runs but cannot be used
 */
export async function adoptServer(
  folder: OwnFolder,
  connectionName: string,
  afterDeath: boolean,
): Promise<Running | undefined> {
  const directory = folder.path;
  const record = await readRecord(directory);
  const options = privateSocketOptions(folder, await readPassword(directory));
  const deadline = Date.now() + (afterDeath ? 2_000 : 0);
  const hangs = Date.now() + STOP_MS;
  for (;;) {
    let fault: unknown;
    try {
      return await introduce(folder, await connectOnce(options, ANSWER_MS, connectionName), options, record);
    } catch (error) {
      fault = error;
    }
    // A killed server takes connections and breaks them until its last thread is gone, even after its process seems to be.
    const isDying = connectionBroke(fault);
    if (!isDying && !nobodyListens(fault)) throw unusable(directory, record, fault);
    // No socket, but a process: it is on its way up or down. In a copy of a directory the record names the server of the original.
    const { process: server } = record ?? {};
    const isThere = server !== undefined && (await isAlive(server)) && (await mayWorkIn(server, folder));
    if (!isDying && !isThere && Date.now() >= deadline) return undefined;
    if (Date.now() >= hangs) throw unusable(directory, record, fault);
    await pause();
  }
}

/** Starts a server on the directory. Call under the start lock, after `adoptServer` found none. */
export async function startServer(
  folder: OwnFolder,
  binary: ServerBinary,
  appendFsync: 'everysec' | 'always',
  connectionName: string,
): Promise<Running> {
  const directory = folder.path;
  await refusePlantedData(directory);
  const password = await readPassword(directory);
  const before = await readRecord(directory);
  const options = privateSocketOptions(folder, password);
  const configuration = await writeConfiguration(directory, { password, appendFsync });
  const { path, flavour, version } = binary;
  const writer = { path, flavour, version };
  const record: ServerRecord = { v: 2, writer };
  // The writer changes once the new one has opened the data.
  const begun: ServerRecord = { ...record, writer: before?.writer ?? writer };
  // Before the spawn and after it: the next process after our death must know the writer, and wait for this process to listen.
  await writeRecord(directory, begun);
  const child = await spawnServer(binary, configuration, folder);
  const spawned = child.pid === undefined ? undefined : await identify(child.pid);
  if (spawned !== undefined) await writeRecord(directory, { ...begun, process: spawned });

  const deadline = Date.now() + START_MS;
  while (child.ended() === undefined && Date.now() < deadline) {
    try {
      return await introduce(folder, await connectOnce(options, ANSWER_MS, connectionName), options, record);
    } catch (error) {
      // One that fails while it loads its data has listened for a moment; its own words say more than the broken connection.
      if (!nobodyListens(error) && !(await endsWithin(child, LAST_WORDS_MS))) throw unusable(directory, record, error);
    }
    await pause();
  }
  const ended = child.ended() ?? `it did not listen on ${socketOf(directory)} within ${START_MS} ms`;
  child.kill();
  throw new RedisUnavailable(
    `${binary.path} could not be started in ${directory}: ${ended}. Its log ${logPath(directory)} ends with: ${await readLogTail(directory)}`,
  );
}

/** Stops the server cleanly, its data flushed, and returns when the process is gone. Call under the start lock. */
export async function stopServer(directory: string, running: Running): Promise<void> {
  // Its only answer is an error; when all goes well the connection just ends.
  running.client.call('SHUTDOWN').catch(() => undefined);
  const deadline = Date.now() + STOP_MS;
  while (await isAlive(running.process)) {
    if (Date.now() >= deadline) {
      throw new RedisUnavailable(
        `Redis (process ${running.process.pid}) does not stop. Its log ${logPath(directory)} ends with: ${await readLogTail(directory)}`,
      );
    }
    await pause();
  }
  const { process: _gone, ...record } = running.record;
  await writeRecord(directory, record);
}

/**
 * Learns who answers, and records it for the next process.
 * @throws RedisUnavailable when it is not the server of this very directory: it must be neither used nor stopped, and none started beside it
 */
async function introduce(
  folder: OwnFolder,
  client: Redis,
  options: RedisOptions,
  record: ServerRecord | undefined,
): Promise<Running> {
  const directory = folder.path;
  try {
    const pid = Number(/^process_id:(\d+)/m.exec(await client.info('server'))?.[1]);
    const [, worksIn = ''] = await client.config('GET', 'dir');
    const found = await identify(pid);
    const isHere = found !== undefined && (await mayWorkIn(found, folder));
    // A server does not say a path over 1,024 bytes; only Linux has such, and there its process has told.
    if (!isHere || (worksIn !== '' && !(await leadsTo(worksIn, folder)))) {
      // One that was killed since it answered is nowhere, and breaks the connection.
      await client.ping();
      throw new RedisUnavailable(
        `The Redis that answers at ${socketOf(directory)} (process ${pid}, in ${worksIn}) is not one that works in ${directory} here. If it runs in another container, give it as redis.url; if the directory is a copy made of hard links, copy its files; or use another data directory`,
      );
    }
    if (record === undefined) {
      throw new RedisUnavailable(
        `Redis (process ${pid}) runs in ${directory}, but server.json is gone from there: end it with kill ${pid} and start again`,
      );
    }
    const current: ServerRecord = { ...record, process: found };
    if (record.process?.startedAt !== found.startedAt) await writeRecord(directory, current);
    return { client, options, record: current, process: found };
  } catch (error) {
    client.disconnect();
    throw error;
  }
}

async function endsWithin(child: Child, ms: number): Promise<boolean> {
  const deadline = Date.now() + ms;
  while (child.ended() === undefined && Date.now() < deadline) await pause();
  return child.ended() !== undefined;
}

/** In the folder itself, not where its path leads: it may be moved meanwhile. So the server reads its configuration from a handle, too. */
async function spawnServer(binary: ServerBinary, configuration: string, folder: OwnFolder): Promise<Child> {
  const handles: FileHandle[] = [];
  const hold = async (opening: Promise<FileHandle>): Promise<FileHandle> => {
    const handle = await opening;
    handles.push(handle);
    return handle;
  };
  try {
    const place = await hold(openAgain(folder));
    const settings = await hold(open(configuration));
    // What the loader or the configuration parser says before the log is open goes there too.
    const log = await hold(appendToOwnFile(logPath(folder.path)));
    const child = spawn(binary.path, ['-', '--proc-title-template', titleOf(folder)], {
      cwd: process.platform === 'linux' ? `/proc/self/fd/${place.fd}` : folder.path,
      // Its own process group: Ctrl-C in the terminal must not take Redis from under a worker that is still settling.
      detached: true,
      stdio: [settings.fd, log.fd, log.fd],
      env: serverEnvironment(binary.libraryPath),
    });
    let ended: string | undefined;
    child.once('error', (error) => (ended = error.message));
    child.once('exit', (code, signal) => (ended ??= `it ended with ${signal ?? `status ${code}`}`));
    child.unref();
    return {
      pid: child.pid,
      ended: () => ended,
      kill: () => child.kill(),
    };
  } finally {
    for (const handle of handles) await handle.close();
  }
}

/** What people see in the list of processes; the server itself knows its socket by its name only. */
function titleOf({ path }: OwnFolder): string {
  return `{title} unixsocket:${socketOf(path).replaceAll('{', '{{')}`;
}

function nobodyListens(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ECONNREFUSED');
}

function connectionBroke(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  // The second is said of a command that was under way.
  return (
    /Connection is closed|max retries per request/.test(error.message) ||
    ('code' in error && /ECONNRESET|EPIPE/.test(String(error.code)))
  );
}

function unusable(directory: string, record: ServerRecord | undefined, error: unknown): RedisUnavailable {
  if (error instanceof RedisUnavailable) return error;
  const who = record?.process === undefined ? '' : ` (process ${record.process.pid})`;
  return new RedisUnavailable(
    `The Redis of ${directory}${who} runs but cannot be used: ${describeRedisError(error, socketOf(directory))}. Its log is ${logPath(directory)}; if it hangs, end it with kill and start again`,
    { cause: error },
  );
}

async function pause(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
