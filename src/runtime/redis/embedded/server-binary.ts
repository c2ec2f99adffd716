import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** A `redis-server` or `valkey-server` that runs on this machine. */
export interface ServerBinary {
  /** Absolute. */
  readonly path: string;
  readonly flavour: 'redis' | 'valkey';
  /** As the binary says, like "7.0.15". */
  readonly version: string;
  /** Value for LD_LIBRARY_PATH when its libraries were unpacked beside it. */
  readonly libraryPath?: string;
}

/** The oldest server the queue's scripts are run against; BullMQ recommends no less. */
export const OLDEST_VERSION = '6.2';

/** Asks the file for its version; undefined when it is not there, cannot run here, or is something else. */
export async function inspectBinary(path: string, libraryPath?: string): Promise<ServerBinary | undefined> {
  try {
    await access(path, constants.X_OK);
    const { stdout } = await execute(path, ['--version'], { env: serverEnvironment(libraryPath), timeout: 10_000 });
    // "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 ..." or "Valkey server v=8.0.1 ...".
    const found = /^(redis|valkey) server v=(\d+\.\d+\.\d+)/i.exec(stdout);
    if (found?.[1] === undefined || found[2] === undefined) return undefined;
    const flavour = found[1].toLowerCase() === 'valkey' ? 'valkey' : 'redis';
    return { path, flavour, version: found[2], ...(libraryPath === undefined ? {} : { libraryPath }) };
  } catch {
    return undefined;
  }
}

/** The child gets nothing of ours: credentials in our environment stay out of the server's. */
export function serverEnvironment(libraryPath: string | undefined): Record<string, string> {
  return { LANG: 'C', ...(libraryPath === undefined ? {} : { LD_LIBRARY_PATH: libraryPath }) };
}

/** Compares "major.minor", the step at which Redis changes its file formats; patch releases read each other's files. */
export function isOlder(version: string, than: string): boolean {
  const [major, minor] = majorMinor(version);
  const [thanMajor, thanMinor] = majorMinor(than);
  return major === thanMajor ? minor < thanMinor : major < thanMajor;
}

function majorMinor(version: string): [number, number] {
  const [major, minor] = version.split('.');
  return [Number(major ?? 0), Number(minor ?? 0)];
}
