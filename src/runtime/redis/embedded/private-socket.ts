import { closeSync, fstatSync, lstatSync, openSync } from 'node:fs';
import { createConnection, Socket } from 'node:net';
import { join } from 'node:path';
import type { RedisOptions } from 'ioredis';
import { RedisUnavailable } from '../describe-error.ts';
import { AbstractConnector } from '../ioredis.ts';
import { currentUser } from './own-files.ts';
import { FOLDER_ONLY, FolderMoved, isFolder, leadsNowhere, type OwnFolder } from './own-folder.ts';

/** The name of the server's socket, which is in the data directory itself: all who share the directory see one and the same. */
export const SOCKET_NAME = 'redis.sock';

/** sockaddr_un holds 108 bytes on Linux and 104 on macOS, the last one for the zero byte. */
const LONGEST_PATH_BYTES = 103;

/** Absolute. May be too long for a client that does not connect as we do. */
export function socketOf(directory: string): string {
  return join(directory, SOCKET_NAME);
}

/** Why a client of this system cannot connect to a socket in this directory; undefined when it can. */
export function socketRefusal(directory: string): string | undefined {
  const bytes = Buffer.byteLength(socketOf(directory));
  // Linux lets us reach a path of any length through its folder. The server binds it by its name alone.
  if (process.platform === 'linux' || bytes <= LONGEST_PATH_BYTES) return undefined;
  return `its socket's path would have ${bytes} bytes, and ${process.platform} allows ${LONGEST_PATH_BYTES}: choose a shorter one`;
}

/**
 * Options of connections to the server of this folder. Before each of them, the first one and every one after a loss, the folder and the socket
 * are looked at: where it is another folder by now, or another user owns one of them or can write to it, nothing is connected to, and the
 * password stays here.
 */
export function privateSocketOptions(folder: OwnFolder, password: string): RedisOptions {
  class Connector extends PrivateSocketConnector {
    constructor(options: unknown) {
      super(folder, options as RedisOptions);
    }
  }
  return { path: socketOf(folder.path), password, Connector };
}

class PrivateSocketConnector extends AbstractConnector {
  readonly #folder: OwnFolder;

  constructor(folder: OwnFolder, { disconnectTimeout = 2_000 }: RedisOptions) {
    super(disconnectTimeout);
    this.#folder = folder;
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
    const path = socketOf(this.#folder.path);
    let handle: number | undefined;
    try {
      handle = openPrivateFolder(this.#folder);
      // Through the folder that was looked at: nobody can put another in its place in between, and its path may be of any length.
      const through = process.platform === 'linux' ? `/proc/self/fd/${handle}/${SOCKET_NAME}` : path;
      checkSocket(through, path);
      const stream = createConnection({ path: through });
      stream.prependListener('error', (error) => renamePath(error, through, path));
      return stream;
    } catch (error) {
      const fault = error instanceof Error ? error : new Error(String(error));
      this.firstError = fault;
      return new Socket().destroy();
    } finally {
      if (handle !== undefined) closeSync(handle);
    }
  }
}

/** @throws RedisUnavailable when it is another folder, or another user owns it or may do anything in it */
function openPrivateFolder(folder: OwnFolder): number {
  const { path } = folder;
  let handle: number;
  try {
    handle = openSync(path, FOLDER_ONLY);
  } catch (error) {
    throw leadsNowhere(error) ? new FolderMoved(folder) : error;
  }
  const found = fstatSync(handle, { bigint: true });
  const fault = faultOf(Number(found.uid), Number(found.mode));
  if (fault === undefined && isFolder(found, folder)) return handle;
  closeSync(handle);
  if (fault === undefined) throw new FolderMoved(folder);
  throw new RedisUnavailable(`Not connecting to the Redis in ${path}. The folder ${fault}`);
}

function faultOf(uid: number, mode: number): string | undefined {
  const me = currentUser();
  if (me !== undefined && uid !== me) return `belongs to user ${uid}, and this is user ${me}: run as that user`;
  return (mode & 0o077) === 0 ? undefined : `is open to other users (mode ${octal(mode)}): close it with chmod 700`;
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
