import { closeSync, constants, fstatSync, lstatSync, openSync } from 'node:fs';
import { createConnection, Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { AbstractConnector } from 'ioredis';
import type { RedisOptions } from 'ioredis';
import { RedisUnavailable } from './describe-error.ts';
import { currentUser } from './own-files.ts';

/** The name of the server's socket, which is in the data directory itself: all who share the directory see one and the same. */
const SOCKET_NAME = 'redis.sock';

/** sockaddr_un holds 108 bytes on Linux and 104 on macOS, the last one for the zero byte. */
const LONGEST_PATH_BYTES = 103;

/** Absolute. May be too long for a client that does not connect as we do. */
export function socketOf(directory: string): string {
  return join(directory, SOCKET_NAME);
}

/** For a server that works in the directory. The whole path, which people see in the list of processes, where a socket may have it. */
export function socketForServer(directory: string): string {
  const path = socketOf(directory);
  return Buffer.byteLength(path) <= LONGEST_PATH_BYTES ? path : SOCKET_NAME;
}

/** Why a client of this system cannot connect to a socket in this directory; undefined when it can. */
export function socketRefusal(directory: string): string | undefined {
  const bytes = Buffer.byteLength(socketOf(directory));
  // Linux lets us reach a path of any length through its folder.
  if (process.platform === 'linux' || bytes <= LONGEST_PATH_BYTES) return undefined;
  return `its socket's path would have ${bytes} bytes, and ${process.platform} allows ${LONGEST_PATH_BYTES}: choose a shorter one`;
}

/**
 * Options of connections to the server of this directory. Before each of them, the first one and every one after a loss, the folder and the
 * socket are looked at: where another user owns one or can write to it, nothing is connected to, and the password stays here.
 */
export function privateSocketOptions(directory: string, password: string): RedisOptions {
  return { path: socketOf(directory), password, Connector: PrivateSocketConnector };
}

class PrivateSocketConnector extends AbstractConnector {
  readonly #path: string;

  constructor(options: unknown) {
    const { path = '', disconnectTimeout = 2_000 } = options as RedisOptions;
    super(disconnectTimeout);
    this.#path = path;
  }

  override connect(): Promise<Socket> {
    this.connecting = true;
    const stream = this.#open();
    this.stream = stream;
    stream.once('error', (error) => (this.firstError = error));
    return Promise.resolve(stream);
  }

  /** A fault becomes one of the stream: ioredis tells it and tries again later, as after any other. */
  #open(): Socket {
    let folder: number | undefined;
    try {
      folder = openPrivateFolder(dirname(this.#path));
      // Through the folder that was looked at: nobody can put another in its place in between, and its path may be of any length.
      const through = process.platform === 'linux' ? `/proc/self/fd/${folder}/${SOCKET_NAME}` : this.#path;
      checkSocket(through, this.#path);
      const stream = createConnection({ path: through });
      stream.prependListener('error', (error) => renamePath(error, through, this.#path));
      return stream;
    } catch (error) {
      const fault = error instanceof Error ? error : new Error(String(error));
      this.firstError = fault;
      return new Socket().destroy();
    } finally {
      if (folder !== undefined) closeSync(folder);
    }
  }
}

/** @throws RedisUnavailable when another user owns the folder or may do anything in it */
function openPrivateFolder(path: string): number {
  const folder = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  const { uid, mode } = fstatSync(folder);
  const me = currentUser();
  let fault: string | undefined;
  if (me !== undefined && uid !== me) fault = `belongs to user ${uid}, and this is user ${me}: run as that user`;
  else if ((mode & 0o077) !== 0) fault = `is open to other users (mode ${octal(mode)}): close it with chmod 700`;
  if (fault === undefined) return folder;
  closeSync(folder);
  throw new RedisUnavailable(`Not connecting to the Redis in ${path}. The folder ${fault}`);
}

/** In a folder of mode 0700 its own mode does not matter: nobody else can get to it. */
function checkSocket(through: string, path: string): void {
  const found = lstatSync(through);
  const me = currentUser();
  let fault: string | undefined;
  if (!found.isSocket()) fault = 'is not a socket: remove it';
  else if (me !== undefined && found.uid !== me)
    fault = `belongs to user ${found.uid}, and this is user ${me}: stop the server of that user and remove it`;
  if (fault !== undefined) throw new RedisUnavailable(`Not connecting to Redis at ${path}. It ${fault}`);
}

/** A person knows the socket by its path. */
function renamePath(error: Error, through: string, path: string): void {
  error.message = error.message.replace(through, path);
  if ('address' in error) error.address = path;
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0');
}
