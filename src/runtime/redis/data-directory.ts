import { randomBytes } from 'node:crypto';
import { chmod, lstat, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { RedisUnavailable } from './describe-error.ts';
import { processIdentitySchema } from './process-identity.ts';

/** What is kept beside the data in `server.json`: who wrote it, and how to reach the server while it runs. */
export type ServerRecord = Readonly<z.infer<typeof recordSchema>>;

const recordSchema = z.object({
  v: z.literal(1),
  writer: z.object({ path: z.string(), flavour: z.enum(['redis', 'valkey']), version: z.string() }),
  socket: z.string(),
  /** Absent while the server is stopped. */
  process: processIdentitySchema.exactOptional(),
});

/** sockaddr_un holds 108 bytes on Linux and 104 on macOS, the last one for the zero byte. */
const LONGEST_SOCKET_PATH_BYTES = 103;

const TEMPLATE = new URL('../../../config/redis.conf', import.meta.url);

/**
 * Makes the embedded Redis' own folder below the data directory: its mode is set to 0700, which must not happen to a directory that a person
 * shares with other things.
 * @returns the absolute path
 */
export async function prepareDirectory(dataDir: string): Promise<string> {
  const directory = join(resolve(dataDir), 'redis');
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const { uid, mode } = await lstat(directory);
    const me = process.getuid?.();
    if (me !== undefined && me !== 0 && uid !== me) {
      throw new RedisUnavailable(
        `${directory} belongs to user ${uid}, and this is user ${me}: run as that user, or give it over with chown -R ${me}, or choose another data directory`,
      );
    }
    if ((mode & 0o777) !== 0o700) await chmod(directory, 0o700);
    return directory;
  } catch (error) {
    if (error instanceof RedisUnavailable) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new RedisUnavailable(`The data directory ${directory} cannot be used (${why}): choose one you can write to`, {
      cause: error,
    });
  }
}

/** @throws RedisUnavailable when the record is there but cannot be understood */
export async function readRecord(directory: string): Promise<ServerRecord | undefined> {
  const path = join(directory, 'server.json');
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new RedisUnavailable(
      `${path} was not written by this version: use the version of certsweep that wrote it, or another data directory`,
      { cause: error },
    );
  }
}

export async function writeRecord(directory: string, record: ServerRecord): Promise<void> {
  await writeWhole(join(directory, 'server.json'), `${JSON.stringify(record, undefined, 2)}\n`);
}

/** The password of this directory's server; made up on first use. Call under the start lock. */
export async function readPassword(directory: string): Promise<string> {
  const path = join(directory, 'password');
  const kept = await readIfThere(path);
  if (kept !== undefined && kept.trim() !== '') return kept.trim();
  const password = randomBytes(32).toString('base64url');
  await writeWhole(path, `${password}\n`);
  return password;
}

/**
 * In the directory; when that path is too long for a socket, in a private folder for temporary files. The one before is kept where possible, so
 * that processes that lived through the server's death find the next one.
 */
export async function chooseSocket(directory: string, before: string | undefined): Promise<string> {
  const beside = join(directory, 'redis.sock');
  if (Buffer.byteLength(beside) <= LONGEST_SOCKET_PATH_BYTES) return beside;
  if (before !== undefined && (await isPrivateFolder(dirname(before)))) return before;
  const folder = tmpdir();
  const short = Buffer.byteLength(folder) <= 60 ? folder : '/tmp';
  return join(await mkdtemp(join(short, 'certsweep-')), 'redis.sock');
}

/** Removes a socket's private folder after the server has stopped. */
export async function discardSocket(directory: string, socket: string): Promise<void> {
  if (dirname(socket) !== directory) await rm(dirname(socket), { recursive: true, force: true });
}

/**
 * Writes the server's configuration: the documented template, then what belongs to this directory; in redis.conf the last word counts. The
 * password is in this file, mode 0600, because the command line can be read by everyone.
 * @returns its path
 */
export async function writeConfiguration(
  directory: string,
  settings: { readonly socket: string; readonly password: string; readonly appendFsync: 'everysec' | 'always' },
): Promise<string> {
  const own: readonly (readonly [string, string])[] = [
    ['dir', directory],
    ['port', '0'],
    ['unixsocket', settings.socket],
    ['unixsocketperm', '700'],
    ['requirepass', settings.password],
    ['appendfsync', settings.appendFsync],
    ['logfile', logPath(directory)],
    ['daemonize', 'no'],
  ];
  const lines = own.map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  const path = join(directory, 'redis.conf');
  const head = '# Generated at every start; changes are lost.';
  await writeWhole(path, [head, await readFile(TEMPLATE, 'utf8'), ...lines, ''].join('\n'));
  return path;
}

export function logPath(directory: string): string {
  return join(directory, 'redis.log');
}

/** The server's last words, for an error message. */
export async function readLogTail(directory: string): Promise<string> {
  const text = (await readIfThere(logPath(directory))) ?? '';
  return text.trim().split('\n').slice(-3).join('; ');
}

async function isPrivateFolder(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  return found?.isDirectory() === true && found.uid === process.getuid?.() && (found.mode & 0o777) === 0o700;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Old or new, never half: rename(2) replaces in one step. */
async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}
