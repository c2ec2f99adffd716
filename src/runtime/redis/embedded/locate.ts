import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { environment } from '../../environment.ts';
import { RedisUnavailable } from '../describe-error.ts';
import type { RedisNotice } from '../notice.ts';
import { isStale, mayTry } from './renewal.ts';
import { inspectBinary, isOlder, OLDEST_VERSION } from './server-binary.ts';
import type { ServerBinary } from './server-binary.ts';
import { currentUser } from './own-files.ts';
import { judgeFolder, judgeProgram, type Weakness } from './trusted-program.ts';
import { findDebian, unpackedIn, unpackRedis } from './unpack-debian.ts';
import type { DebianSystem } from './unpack-debian.ts';

/** The server that wrote a data directory, from its record. */
export type Writer = Pick<ServerBinary, 'path' | 'flavour' | 'version'>;

/** What decides how a server may be had here. */
export interface System {
  readonly platform: NodeJS.Platform;
  /** Undefined elsewhere: nothing can be unpacked. */
  readonly debian: DebianSystem | undefined;
}

const NAMES = ['redis-server', 'valkey-server'];

/**
 * Finds a server that can open a directory written by `writer`: from PATH, the one that wrote it, the cache folder, or unpacked there.
 * @param on - another system than this one, to hear what it would be told
 * @throws RedisUnavailable when there is none, or none may open the directory; the message says how to get one on this system
 */
export async function locateServer(
  writer: Writer | undefined,
  notice: (event: RedisNotice) => void,
  on?: System,
): Promise<ServerBinary> {
  const system = on ?? { platform: process.platform, debian: await findDebian() };
  const refused: string[] = [];
  for await (const candidate of candidates(system, writer, notice)) {
    if (candidate.kind === 'untrusted') {
      refused.push(`${candidate.path} ${candidate.reason}`);
      continue;
    }
    const { binary } = candidate;
    const reason = refusal(binary, writer);
    if (reason === undefined) return binary;
    refused.push(`${binary.path} ${binary.version} ${reason}`);
  }
  throw new RedisUnavailable(
    `No Redis server may be used here: ${refused.join('; ')}. ${installHint(system)}, or give redis.url of another Redis`,
  );
}

/**
 * Why this server must not open what the writer left; undefined when it may. A newer one of the same kind reads older files, an older one or
 * the other kind would stop at a file it cannot read, or leave part of it behind.
 */
export function refusal(candidate: ServerBinary, writer: Writer | undefined): string | undefined {
  if (isOlder(candidate.version, OLDEST_VERSION)) return `is older than ${OLDEST_VERSION}`;
  if (writer === undefined) return undefined;
  const wrote = `the data was written by ${writer.flavour} ${writer.version} (${writer.path})`;
  if (candidate.flavour !== writer.flavour) return `is ${candidate.flavour}, but ${wrote}; put that one back`;
  if (isOlder(candidate.version, writer.version)) return `is too old: ${wrote}; put that one or a newer one back`;
  return undefined;
}

type Candidate =
  | { readonly kind: 'runs'; readonly binary: ServerBinary }
  | { readonly kind: 'untrusted'; readonly path: string; readonly reason: string };

interface Look {
  readonly path: string;
  readonly libraryPath?: string;
  /** A person who has it on PATH has chosen it; root's PATH may have been another user's (sudo -E). */
  readonly isChosen?: boolean;
}

/** Lazily, since asking a binary for its version costs a process, and unpacking some seconds. Unpacks only when nothing else was found. */
async function* candidates(
  system: System,
  writer: Writer | undefined,
  notice: (event: RedisNotice) => void,
): AsyncGenerator<Candidate> {
  const { debian } = system;
  const folder = join(cacheFolder(), `redis-${debian?.name ?? system.platform}`);
  const isChosen = currentUser() !== 0;
  const looks: Look[] = pathFolders().flatMap((at) => NAMES.map((name) => ({ path: join(at, name), isChosen })));
  const unpacked = debian && (await unpackedIn(folder));
  if (writer !== undefined && writer.path !== unpacked?.path) looks.push({ path: writer.path });
  if (unpacked !== undefined) looks.push(unpacked);
  let found = false;
  for (const look of looks) {
    const candidate = await inspect(look, notice);
    if (candidate === undefined) continue;
    found = true;
    const isOurs = unpacked !== undefined && look === unpacked && candidate.kind === 'runs';
    yield isOurs ? { kind: 'runs', binary: await renewed(folder, candidate.binary, notice) } : candidate;
  }
  if (!found) yield { kind: 'runs', binary: await unpack(system, folder, notice) };
}

/** Judges the program before it is run, were it only to ask for its version. */
async function inspect(look: Look, notice: (event: RedisNotice) => void): Promise<Candidate | undefined> {
  const { path, libraryPath, isChosen = false } = look;
  if (!isChosen) {
    const trust = await judgeProgram(path, libraryPath?.split(':') ?? []).catch(() => undefined);
    // It is not there, or cannot be reached.
    if (trust === undefined) return undefined;
    if (trust.kind === 'refused') return { kind: 'untrusted', path, reason: notRun(trust.weakness) };
    for (const at of trust.groupWritable) notice({ kind: 'group-writable', thing: path, ...at });
  }
  const binary = await inspectBinary(path, libraryPath);
  return binary && { kind: 'runs', binary };
}

/** What was unpacked, or a newer one in its place where it is stale. Where that cannot be had, the old one is better than none. */
async function renewed(
  folder: string,
  binary: ServerBinary,
  notice: (event: RedisNotice) => void,
): Promise<ServerBinary> {
  if (!(await isStale(folder, binary)) || !(await mayTry(folder))) return binary;
  notice({ kind: 'renewing', into: folder });
  const startMs = performance.now();
  try {
    const newer = await unpackRedis(folder, true);
    notice({ kind: 'unpacked', into: folder, tookMs: Math.round(performance.now() - startMs) });
    return newer;
  } catch (error) {
    notice({ kind: 'not-renewed', into: folder, why: error instanceof Error ? error.message : String(error) });
    return binary;
  }
}

function notRun({ because, remedy }: Weakness): string {
  return `is not run, because ${because}: ${remedy}`;
}

async function unpack(system: System, folder: string, notice: (event: RedisNotice) => void): Promise<ServerBinary> {
  const missing = 'Neither redis-server nor valkey-server was found on PATH';
  if (system.debian === undefined) throw new RedisUnavailable(`${missing}. ${installHint(system)}, or give redis.url`);
  notice({ kind: 'unpacking', into: folder });
  const startMs = performance.now();
  try {
    const trust = await judgeFolder(folder);
    if (trust.kind === 'refused')
      throw new Error(`a server in there ${notRun(trust.weakness)}, or name another folder with XDG_CACHE_HOME`);
    const binary = await unpackRedis(folder);
    notice({ kind: 'unpacked', into: folder, tookMs: Math.round(performance.now() - startMs) });
    return binary;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new RedisUnavailable(
      `${missing}, and unpacking one into ${folder} did not work: ${why}. ${installHint(system)}, or give redis.url`,
      { cause: error },
    );
  }
}

function pathFolders(): string[] {
  // A relative entry would run whatever lies in the current folder.
  return (environment['PATH'] ?? '').split(delimiter).filter((folder) => folder.startsWith('/'));
}

function cacheFolder(): string {
  const configured = environment['XDG_CACHE_HOME'];
  // The XDG specification: a relative path must be ignored.
  return join(configured?.startsWith('/') === true ? configured : join(homedir(), '.cache'), 'certsweep');
}

function installHint({ platform }: System): string {
  // Not the Compose file: its Redis is for its workers alone. This one only this host can reach.
  const docker =
    'a container, for a trial: docker run -d -p 127.0.0.1:6379:6379 redis:7 redis-server --appendonly yes, and redis.url redis://127.0.0.1:6379';
  if (platform === 'darwin') return `Install one with: brew install redis; or use ${docker}`;
  if (platform !== 'linux') return `Redis does not run on ${platform} itself: use ${docker}`;
  return `Install one with your package manager (Debian, Ubuntu: sudo apt-get install redis-server; Fedora: sudo dnf install valkey; Alpine: sudo apk add redis); or use ${docker}`;
}
