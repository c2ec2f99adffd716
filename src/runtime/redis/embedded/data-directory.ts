import { randomBytes } from 'node:crypto';
import { lstat, mkdir, open, readFile, realpath, type FileHandle } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { RedisUnavailable } from '../describe-error.ts';
import type { RedisNotice } from '../notice.ts';
import { currentUser, hasCode, isTorn, parseOwnFile, readOwnFile, replaceOwnFile } from './own-files.ts';
import { FOLDER_ONLY, openAgain, type OwnFolder } from './own-folder.ts';
import { SOCKET_NAME, socketRefusal } from './private-socket.ts';
import { processIdentitySchema } from './process-identity.ts';
import { judgeFolder } from './trusted-program.ts';

/** What is kept beside the data in `server.json`: who wrote it, and which process serves it. */
export type ServerRecord = Readonly<z.infer<typeof recordSchema>>;

const recordSchema = z.object({
  // Version 1 also named a socket, which could be anywhere; its programs removed the folder of that socket, and must not read what we write.
  v: z.union([z.literal(1), z.literal(2)]).transform(() => 2 as const),
  writer: z.object({ path: z.string(), flavour: z.enum(['redis', 'valkey']), version: z.string() }),
  /** Absent while the server is stopped. In a copy of a directory it is the process of the original. */
  process: processIdentitySchema.exactOptional(),
});

const LOG_NAME = 'redis.log';
const TEMPLATE = new URL('../../../../config/redis.conf', import.meta.url);

/**
 * Makes the embedded Redis' own folder below the data directory: its mode is set to 0700, which must not happen to a directory that a person
 * shares with other things.
 * @param notice - hears what the members of a group could exchange
 */
export async function prepareDirectory(
  dataDir: string,
  notice: (event: RedisNotice) => void = () => undefined,
): Promise<OwnFolder> {
  const given = join(resolve(dataDir), 'redis');
  try {
    if (currentUser() === 0) await refuseWayOfOthers(resolve(dataDir), notice);
    await mkdir(resolve(dataDir), { recursive: true, mode: 0o700 });
    // Resolved here too: behind a link, or what is not there, the system takes ".." for another folder.
    const directory = join(await realpath(resolve(dataDir)), 'redis');
    await makeIfMissing(directory);
    const refusal = socketRefusal(directory);
    if (refusal !== undefined) throw new Error(refusal);
    return await openFirst(directory);
  } catch (error) {
    if (error instanceof RedisUnavailable) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new RedisUnavailable(`The data directory ${given} cannot be used (${why}): choose one you can write to`, {
      cause: error,
    });
  }
}

/**
 * Who can exchange a part of the way chooses in which folder root makes and changes files, and which file the server is started with. Another
 * user's choice of a place is that user's own.
 */
async function refuseWayOfOthers(dataDir: string, notice: (event: RedisNotice) => void): Promise<void> {
  const trust = await judgeFolder(dataDir);
  if (trust.kind === 'trusted') {
    for (const at of trust.groupWritable) notice({ kind: 'group-writable', thing: dataDir, ...at });
    return;
  }
  const { because, remedy, owner } = trust.weakness;
  const instead = owner === undefined ? remedy : `run as that user (sudo -u '#${owner}' certsweep ...)`;
  throw new RedisUnavailable(
    `The data directory ${dataDir} is not used by root, because ${because}: ${instead}, or choose another data directory`,
  );
}

async function makeIfMissing(directory: string): Promise<void> {
  try {
    await mkdir(directory, { mode: 0o700 });
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  }
}

/**
 * The folder that was prepared before, whatever the data directory's path leads to by now.
 * @throws FolderMoved
 */
export async function findAgain(folder: OwnFolder): Promise<OwnFolder> {
  const handle = await openAgain(folder);
  return closeToOthers(handle, folder.path);
}

async function openFirst(directory: string): Promise<OwnFolder> {
  if ((await lstat(directory)).isSymbolicLink()) {
    throw new RedisUnavailable(
      `${directory} is a symbolic link, which is not followed: give the folder it leads to as the data directory, without "redis" at its end`,
    );
  }
  return closeToOthers(await open(directory, FOLDER_ONLY), directory);
}

/** Through one handle, so that what is looked at and what is changed are the same. */
async function closeToOthers(handle: FileHandle, path: string): Promise<OwnFolder> {
  try {
    const { uid, mode, dev: device, ino: inode } = await handle.stat({ bigint: true });
    const me = currentUser();
    if (me !== undefined && Number(uid) !== me) throw new RedisUnavailable(`${path} ${notOurs(Number(uid), me)}`);
    if ((Number(mode) & 0o777) !== 0o700) await handle.chmod(0o700);
    return { path, device, inode };
  } finally {
    await handle.close();
  }
}

/** Root is no exception: what another user has put there would choose what root runs and writes to. */
function notOurs(uid: number, me: number): string {
  if (me === 0) {
    return `belongs to user ${uid}, and this is root: run as that user (sudo -u '#${uid}' certsweep ...), or choose another data directory`;
  }
  return `belongs to user ${uid}, and this is user ${me}: run as that user, or change its owner with chown -R ${me}, or choose another data directory`;
}

/**
 * @returns undefined when there is none. One that a power cut has torn does not count either: its process is dead, and a server judges by itself whether
 * it can read the data
 * @throws RedisUnavailable when this version does not understand it
 */
export async function readRecord(directory: string): Promise<ServerRecord | undefined> {
  const path = join(directory, 'server.json');
  const text = await readOwnFile(path);
  if (text === undefined) return undefined;
  const content = parseOwnFile(path, text, recordSchema);
  return content.kind === 'torn' ? undefined : content.value;
}

export async function writeRecord(directory: string, record: ServerRecord): Promise<void> {
  await replaceOwnFile(join(directory, 'server.json'), `${JSON.stringify(record, undefined, 2)}\n`);
}

/** The password of this directory's server; made up on first use. Call under the start lock. */
export async function readPassword(directory: string): Promise<string> {
  const path = join(directory, 'password');
  const kept = await readOwnFile(path);
  if (kept !== undefined && !isTorn(kept)) return kept.trim();
  const password = randomBytes(32).toString('base64url');
  await replaceOwnFile(path, `${password}\n`);
  return password;
}

/**
 * Writes the server's configuration: the documented template, then what belongs to this directory; in redis.conf the last word counts. The
 * password is in this file, mode 0600, because the command line can be read by everyone. No path in it leads elsewhere when the directory is
 * moved: a server that ends removes its socket by the name it was given, and another may listen where the directory was.
 * @returns its path
 */
export async function writeConfiguration(
  directory: string,
  settings: { readonly password: string; readonly appendFsync: 'everysec' | 'always' },
): Promise<string> {
  const own: readonly (readonly [string, string])[] = [
    ['dir', '.'],
    ['port', '0'],
    ['unixsocket', SOCKET_NAME],
    ['unixsocketperm', '700'],
    ['requirepass', settings.password],
    ['appendfsync', settings.appendFsync],
    ['logfile', LOG_NAME],
    ['daemonize', 'no'],
  ];
  const lines = own.map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  const path = join(directory, 'redis.conf');
  const head = '# Generated at every start; changes are lost. For a server that is started in this folder.';
  await replaceOwnFile(path, [head, await readFile(TEMPLATE, 'utf8'), ...lines, ''].join('\n'));
  return path;
}

export function logPath(directory: string): string {
  return join(directory, LOG_NAME);
}

/** The server's last words, for an error message. */
export async function readLogTail(directory: string): Promise<string> {
  const text = (await readOwnFile(logPath(directory))) ?? '';
  return text.trim().split('\n').slice(-3).join('; ');
}
