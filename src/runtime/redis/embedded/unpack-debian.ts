import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { environment } from '../../environment.ts';
import { STAMP } from './renewal.ts';
import { inspectBinary } from './server-binary.ts';
import type { ServerBinary } from './server-binary.ts';

const execute = promisify(execFile);

/** A Debian or Ubuntu whose packages can run in this process' architecture. */
export interface DebianSystem {
  /** Like "debian-12-amd64"; names the folder, so that a home directory shared between machines works. */
  readonly name: string;
}

// apt's word for Node's.
const ARCHITECTURES: Readonly<Partial<Record<NodeJS.Architecture, string>>> = {
  x64: 'amd64',
  arm64: 'arm64',
  arm: 'armhf',
  ppc64: 'ppc64el',
  s390x: 's390x',
  riscv64: 'riscv64',
};

const SERVER_PACKAGES = ['redis-server', 'redis-tools'];
/** Unpacked even where installed, so that removing them from the system later does not break the server. */
const LIBRARY_PACKAGES = ['libjemalloc2', 'liblzf1', 'libatomic1'];

const DOWNLOAD_TIMEOUT_MS = 180_000;

/** The Debian or Ubuntu we run on; undefined elsewhere, or when dpkg's architecture is not this process' one. */
export async function findDebian(): Promise<DebianSystem | undefined> {
  try {
    const release = parseOsRelease(await readFile('/etc/os-release', 'utf8'));
    const family = [release.get('ID'), ...(release.get('ID_LIKE') ?? '').split(' ')];
    if (!family.includes('debian') && !family.includes('ubuntu')) return undefined;
    const { stdout } = await execute('dpkg', ['--print-architecture'], { env: toolEnvironment(), timeout: 10_000 });
    const architecture = stdout.trim();
    if (architecture !== ARCHITECTURES[process.arch]) return undefined;
    return { name: [release.get('ID'), release.get('VERSION_ID') ?? 'unstable', architecture].join('-') };
  } catch {
    return undefined;
  }
}

/** Where the server is that was unpacked into the folder, and its libraries, if any of them are there. */
export async function unpackedIn(folder: string): Promise<{ readonly path: string; readonly libraryPath: string }> {
  return { path: join(folder, 'usr/bin/redis-server'), libraryPath: await libraryPath(folder) };
}

async function inspectUnpacked(folder: string): Promise<ServerBinary | undefined> {
  const { path, libraryPath: libraries } = await unpackedIn(folder);
  return inspectBinary(path, libraries);
}

/**
 * Downloads the distribution's redis-server and unpacks it into `folder`, without root rights, without touching the system's package state and
 * without installing a service. apt checks the signatures. Any number of processes may do this at once: the first to finish wins.
 * @param instead - of what lies there: a server that runs from it continues, since its files stay until it ends
 * @throws Error with the failed step and apt's own words
 */
export async function unpackRedis(folder: string, instead = false): Promise<ServerBinary> {
  const parent = join(folder, '..');
  await mkdir(parent, { recursive: true, mode: 0o700 });
  const workshop = await mkdtemp(`${folder}.unpacking-`);
  try {
    const packages = await download(workshop);
    const root = join(workshop, 'root');
    await mkdir(root, { mode: 0o755 });
    for (const file of packages) await run('dpkg', ['-x', file, root], workshop);
    if ((await inspectUnpacked(root)) === undefined)
      throw new Error('the unpacked redis-server does not run on this system');
    await writeFile(join(root, STAMP), '');
    if (instead) await exchange(root, folder, join(workshop, 'former'));
    else await moveInto(root, folder);
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
  const unpacked = await inspectUnpacked(folder);
  if (unpacked === undefined) throw new Error(`${folder} holds no redis-server that runs: delete that folder`);
  return unpacked;
}

/** rename(2) onto a folder that has content fails: then another process was first, unless what lies there is broken. */
async function moveInto(root: string, folder: string): Promise<void> {
  try {
    await rename(root, folder);
  } catch (error) {
    if ((await inspectUnpacked(folder)) !== undefined) return;
    throw error;
  }
}

/** For a moment nothing is there; a process that checks just then unpacks its own. */
async function exchange(root: string, folder: string, former: string): Promise<void> {
  await rename(folder, former);
  try {
    await rename(root, folder);
  } catch (error) {
    await rename(former, folder).catch(() => undefined);
    throw error;
  }
}

async function download(workshop: string): Promise<string[]> {
  const state = join(workshop, 'state');
  const cache = join(workshop, 'cache');
  const into = join(workshop, 'packages');
  await Promise.all([
    mkdir(join(state, 'lists/partial'), { recursive: true }),
    mkdir(join(cache, 'archives/partial'), { recursive: true }),
    mkdir(into),
  ]);
  const settings = [
    ['Dir::State', state],
    // What the system has installed, to read only.
    ['Dir::State::status', '/var/lib/dpkg/status'],
    ['Dir::Cache', cache],
    // As root, apt would download as the user _apt, who may not write here.
    ['APT::Sandbox::User', callerName()],
    ['Acquire::Languages', 'none'],
    ['Acquire::http::Timeout', '20'],
    ['Acquire::https::Timeout', '20'],
    ['Debug::NoLocking', 'true'],
  ].flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  await run('apt-get', ['-q', ...settings, 'update'], workshop);
  const missing = await missingLibraries(settings, workshop);
  const packages = [...new Set([...SERVER_PACKAGES, ...LIBRARY_PACKAGES, ...missing])];
  await run('apt-get', ['-q', ...settings, 'download', ...packages], into);
  return (await readdir(into)).map((name) => join(into, name));
}

/** Libraries a slim container lacks, libssl3 for one: apt works out which, in a simulation that needs no rights. */
async function missingLibraries(settings: readonly string[], workshop: string): Promise<string[]> {
  const simulation = ['-q', ...settings, 'install', '--simulate', '--no-install-recommends', ...SERVER_PACKAGES];
  try {
    const stdout = await run('apt-get', simulation, workshop);
    return [...stdout.matchAll(/^Inst (lib[^ ]+)/gm)].map((match) => match[1] ?? '');
  } catch {
    // Broken dependencies of the system are not ours to report; the five packages may well be enough.
    return [];
  }
}

async function libraryPath(folder: string): Promise<string> {
  const found: string[] = [];
  for (const base of ['usr/lib', 'lib']) {
    const names = await readdir(join(folder, base)).catch(() => []);
    // The multiarch folder, like x86_64-linux-gnu; the architecture's name in it is not dpkg's.
    found.push(...names.filter((name) => name.includes('-linux-gnu')).map((name) => join(folder, base, name)));
  }
  return found.join(':');
}

async function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  try {
    const { stdout } = await execute(command, args, {
      cwd,
      env: toolEnvironment(),
      timeout: DOWNLOAD_TIMEOUT_MS,
      maxBuffer: 16 * 1024 * 1024,
    });
    return stdout;
  } catch (error) {
    const action = args.find((argument) => /^(update|download|install|-x)$/.test(argument)) ?? '';
    const words = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    const why = words === '' && error instanceof Error ? error.message : words.split('\n').slice(-3).join('; ');
    throw new Error(`${command} ${action} failed: ${why}`, { cause: error });
  }
}

/** apt needs to find its tools and the way out through a proxy, and nothing else of ours. */
function toolEnvironment(): Record<string, string> {
  const needed = ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'HOME', 'TMPDIR'];
  const taken = Object.fromEntries(
    needed.flatMap((name) => {
      const value = environment[name];
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
  // Only root has /usr/sbin and /sbin on PATH, where dpkg wants to find its helpers.
  return {
    ...taken,
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    LC_ALL: 'C',
    DEBIAN_FRONTEND: 'noninteractive',
  };
}

function callerName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run us under a number without a name; only root is ever put into the sandbox, and root has one.
    return 'root';
  }
}

function parseOsRelease(text: string): Map<string, string> {
  const lines = text.matchAll(/^([A-Z_]+)="?([^"\n]*)"?$/gm);
  return new Map([...lines].map((line) => [line[1] ?? '', line[2] ?? '']));
}
