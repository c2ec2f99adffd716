import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);
/** 20 MB of a mirror that may be slow. */
const DOWNLOAD_WITHIN_MS = 90_000;

/** How a run of promtool ended. */
export interface Checked {
  readonly code: number;
  readonly output: string;
}

/** Prometheus' own tool, that of this host or Debian's, which is unpacked once into the cache of the user; undefined, and said aloud, where there is none. */
export async function findPromtool(): Promise<string | undefined> {
  const onPath = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'promtool'));
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'certsweep-test', 'prometheus');
  const unpacked = join(cache, 'usr', 'bin', 'promtool');
  const there = [...onPath, unpacked].find((path) => existsSync(path));
  if (there !== undefined) return there;
  try {
    await unpack(cache);
    return unpacked;
  } catch (error) {
    const reason = error instanceof Error ? error.message.trim() : String(error);
    console.warn(
      `\nSKIPPED: promtool is not installed and could not be fetched, so alert rules and names are NOT checked: ${reason}\n`,
    );
    return undefined;
  }
}

/** @param stdin - what it reads */
export async function promtool(path: string, args: readonly string[], stdin = ''): Promise<Checked> {
  return new Promise((resolve) => {
    const child = execFile(path, args, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : 1, output: stdout + stderr });
    });
    child.stdin?.end(stdin);
  });
}

/** Another run of the tests may do the same at once: the last step puts a whole folder in its place. */
async function unpack(cache: string): Promise<void> {
  const workshop = await mkdtemp(join(tmpdir(), 'certsweep-prometheus-'));
  try {
    await execute('apt-get', ['-q', 'download', 'prometheus'], { cwd: workshop, timeout: DOWNLOAD_WITHIN_MS });
    const [file = ''] = await readdir(workshop);
    const root = join(workshop, 'root');
    await execute('dpkg', ['-x', file, root], { cwd: workshop, timeout: DOWNLOAD_WITHIN_MS });
    await mkdir(join(cache, 'usr', 'bin'), { recursive: true });
    await execute('cp', [join(root, 'usr', 'bin', 'promtool'), join(workshop, 'promtool')]);
    await execute('cp', [join(workshop, 'promtool'), join(cache, 'usr', 'bin', `promtool.${process.pid}`)]);
    await rename(join(cache, 'usr', 'bin', `promtool.${process.pid}`), join(cache, 'usr', 'bin', 'promtool'));
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
}
