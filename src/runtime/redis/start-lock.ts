import { randomUUID } from 'node:crypto';
import { link, readdir, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { RedisUnavailable } from './describe-error.ts';
import { createOwnFile, hasCode, readOwnFile } from './own-files.ts';
import { identify, isAlive, processIdentitySchema, processNamespace } from './process-identity.ts';

/*
 * One holder per directory, over all processes, and no holder can leave it locked by dying.
 *
 * The lock is the file `start.lock.<n>` with the highest n. Its content, written whole by link(2), names the holder; an empty object means free.
 * Whoever finds it free, or its holder dead, links n+1: only one can. A plain lock file that is deleted when stale does not work: of two
 * processes that both saw the dead holder, the slower one deletes the lock of the faster.
 */
const holderSchema = processIdentitySchema.extend({
  host: z.string(),
  /** Two containers may have the same host name, and processes with the same numbers. */
  namespace: z.string().exactOptional(),
  /** Of the directory: a lock that was copied with it is held by nobody. No device, which has another number on each host of a shared volume. */
  inode: z.string().exactOptional(),
});
const contentSchema = z.union([holderSchema, z.strictObject({}).transform(() => undefined)]);
type Holder = z.infer<typeof holderSchema>;

interface Here {
  readonly host: string;
  readonly namespace: string | undefined;
  readonly inode: string;
}

const PREFIX = 'start.lock.';
const POLL_MS = 25;
/** A holder on another host or in another container (a shared volume) cannot be asked whether it lives; it never holds the lock this long. */
const FOREIGN_HOLDER_MS = 120_000;

/**
 * Runs the task while no other process, nor another call in this one, runs one for the same directory.
 * @param task - hears whether the holder before died with the lock, and so may have left something half done
 * @throws RedisUnavailable when the lock is not free within `waitMs`
 */
export async function withStartLock<T>(
  directory: string,
  waitMs: number,
  task: (lock: { readonly afterDeath: boolean }) => Promise<T>,
): Promise<T> {
  const held = await acquire(directory, waitMs);
  try {
    return await task(held);
  } finally {
    await release(held.path);
  }
}

async function acquire(directory: string, waitMs: number): Promise<{ path: string; afterDeath: boolean }> {
  const self = await identify(process.pid);
  if (self === undefined)
    throw new RedisUnavailable('This system does not say when a process was started: use redis.url');
  const here: Here = { host: hostname(), namespace: await processNamespace(), inode: await inodeOf(directory) };
  const mine = JSON.stringify({ ...self, ...here });
  const deadline = Date.now() + waitMs;
  for (;;) {
    const highest = (await generations(directory)).at(-1) ?? 0;
    const holder = highest === 0 ? 'free' : await stateOf(join(directory, PREFIX + highest), here);
    if (holder === 'free' || holder === 'dead') {
      const path = await claim(directory, highest + 1, mine);
      if (path !== undefined) return { path, afterDeath: holder === 'dead' };
    } else {
      if (Date.now() > deadline) {
        throw new RedisUnavailable(
          `Process ${holder.pid} on ${holder.host} has been starting or stopping the Redis of ${directory} for more than ${waitMs} ms: wait for it, or end it with kill ${holder.pid}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}

async function claim(directory: string, generation: number, mine: string): Promise<string | undefined> {
  const path = join(directory, PREFIX + generation);
  const draft = join(directory, `start.draft.${randomUUID()}`);
  await createOwnFile(draft, mine);
  try {
    await link(draft, path);
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return undefined;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
  // We may have slept since reading the list, while others took and gave back several locks and cleaned up: then ours is an old number.
  const all = await generations(directory);
  if (all.at(-1) !== generation) {
    await rm(path, { force: true });
    return undefined;
  }
  await Promise.all(all.slice(0, -1).map((old) => rm(join(directory, PREFIX + old), { force: true })));
  return path;
}

async function release(path: string): Promise<void> {
  const draft = `${path}.free`;
  await createOwnFile(draft, '{}');
  // The number stays: it must never be given out twice.
  await rename(draft, path);
}

async function generations(directory: string): Promise<number[]> {
  const names = await readdir(directory);
  return names
    .filter((name) => name.startsWith(PREFIX) && /^\d+$/.test(name.slice(PREFIX.length)))
    .map((name) => Number(name.slice(PREFIX.length)))
    .toSorted((a, b) => a - b);
}

async function stateOf(path: string, here: Here): Promise<Holder | 'free' | 'dead'> {
  const text = await readOwnFile(path);
  // Gone since the list was read: a higher one exists, and claiming ours will show it.
  if (text === undefined) return 'free';
  const holder = contentSchema.parse(JSON.parse(text));
  if (holder === undefined) return 'free';
  if (holder.inode !== undefined && holder.inode !== here.inode) return 'free';
  const isHere = holder.host === here.host && (holder.namespace ?? here.namespace) === here.namespace;
  const isHeld = isHere ? await isAlive(holder) : (await ageMs(path)) < FOREIGN_HOLDER_MS;
  return isHeld ? holder : 'dead';
}

async function ageMs(path: string): Promise<number> {
  try {
    return Date.now() - (await stat(path)).mtimeMs;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return Infinity;
    throw error;
  }
}

async function inodeOf(directory: string): Promise<string> {
  return String((await stat(directory, { bigint: true })).ino);
}
