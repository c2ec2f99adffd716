import { execFile } from 'node:child_process';
import { readFile, readlink } from 'node:fs/promises';
import { promisify } from 'node:util';
import { z } from 'zod';
import { hasCode } from './own-files.ts';
import { leadsTo, type OwnFolder } from './own-folder.ts';

const execute = promisify(execFile);

/** A process that cannot be confused with a later one that got the same number. */
export type ProcessIdentity = Readonly<z.infer<typeof processIdentitySchema>>;

export const processIdentitySchema = z.object({
  pid: z.int().positive(),
  /** Opaque; equal for the same process only. */
  startedAt: z.string(),
});

/** The identity of the living process with this number; undefined when there is none, or only a zombie is left. */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  if (!isSomeone(pid)) return undefined;
  const startedAt = process.platform === 'linux' ? await startOnLinux(pid) : await startByPs(pid);
  return startedAt === undefined ? undefined : { pid, startedAt };
}

export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await identify(identity.pid))?.startedAt === identity.startedAt;
}

/** False when the process works in another folder, for certain; only Linux tells. */
export async function mayWorkIn({ pid }: ProcessIdentity, folder: OwnFolder): Promise<boolean> {
  if (process.platform !== 'linux') return true;
  try {
    return await leadsTo(`/proc/${pid}/cwd`, folder);
  } catch (error) {
    // The process of another user does not say.
    return hasCode(error, 'EACCES') || hasCode(error, 'EPERM');
  }
}

/** Names the set of processes whose numbers mean the same, a container's for one; undefined where there is one set only. */
export async function processNamespace(): Promise<string | undefined> {
  return process.platform === 'linux' ? readlink('/proc/self/ns/pid') : undefined;
}

function isSomeone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives and belongs to another user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

async function startOnLinux(pid: number): Promise<string | undefined> {
  try {
    const [stat, boot] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'latin1'),
      readFile('/proc/sys/kernel/random/boot_id', 'latin1'),
    ]);
    // proc(5): the name in parentheses may contain anything; the fields from `state` on follow the last one. Field 22 is the start in ticks.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state] = fields;
    const ticks = fields[19];
    return state === 'Z' || state === 'X' || ticks === undefined ? undefined : `${boot.trim()} ${ticks}`;
  } catch {
    return undefined;
  }
}

async function startByPs(pid: number): Promise<string | undefined> {
  try {
    const { stdout } = await execute('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      env: { LC_ALL: 'C', TZ: 'UTC', PATH: '/bin:/usr/bin' },
    });
    const [state, ...started] = stdout.trim().split(/\s+/);
    return state === undefined || state === '' || state.startsWith('Z') ? undefined : started.join(' ');
  } catch {
    return undefined;
  }
}
