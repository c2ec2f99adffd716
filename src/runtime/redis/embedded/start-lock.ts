import { randomUUID } from 'node:crypto';
import { link, readdir, rename, rm, stat } from 'node:fs/promises';
import { hostname, uptime } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { RedisUnavailable } from '../describe-error.ts';
import { createOwnFile, hasCode, OwnDiskFull, overwriteOwnFile, parseOwnFile, readOwnFile } from './own-files.ts';
import { identify, isAlive, processIdentitySchema, processNamespace } from './process-identity.ts';

/*
 * One holder per directory, over all processes, and no holder can leave it locked by dying.
 *
 * The lock is the file `start.lock.<n>` with the highest n. Its content, written whole by link(2), names the holder; an empty object means free.
 * A process that finds it free, or its holder dead, links n+1: only one can. A plain lock file that is deleted when stale does not work: of two
 * processes that both saw the dead holder, the slower one deletes the lock of the faster.
 *
 * No running system shows half a content, so a file without one was torn by a power cut, which its holder did not survive.
 */
const holderSchema = processIdentitySchema.extend({
  host: z.string(),
  /** Two containers may have the same host name, and processes with the same numbers. */
  namespace: z.string().exactOptional(),
  /** Of the directory: a lock that was copied with it is held by nobody. No device, which has another number on each host of a shared volume. */
  inode: z.string().exactOptional(),
});
const contentSchema = z.union([holderSchema, z.strictObject({}).transform(() => undefined)]);

type State =
  | { readonly kind: 'free' | 'dead' }
  /** Says who holds it, and what to do. */
  | { readonly kind: 'held'; readonly by: string };

interface Here {
  readonly host: string;
  readonly namespace: string | undefined;
  readonly inode: string;
}

const PREFIX = 'start.lock.';
const FREE: State = { kind: 'free' };
const DEAD: State = { kind: 'dead' };
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
    await release(directory, held.path);
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
    const state = highest === 0 ? FREE : await stateOf(join(directory, PREFIX + highest), here);
    if (state.kind === 'held') {
      if (Date.now() > deadline) {
        throw new RedisUnavailable(`The Redis of ${directory} has been locked for more than ${waitMs} ms. ${state.by}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    } else {
      const path = await claim(directory, highest + 1, mine);
      if (path !== undefined) return { path, afterDeath: state.kind === 'dead' };
    }
  }
}

async function claim(directory: string, generation: number, mine: string): Promise<string | undefined> {
  const path = join(directory, PREFIX + generation);
  const draft = draftIn(directory);
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

async function release(directory: string, path: string): Promise<void> {
  const draft = draftIn(directory);
  // The number stays: it must never be given out twice.
  try {
    await createOwnFile(draft, '{}');
    await rename(draft, path);
  } catch (error) {
    if (!(error instanceof OwnDiskFull)) throw error;
    // This process may live for long, and must not hold the lock for as long as the disk is full.
    await overwriteOwnFile(path, '{}');
  }
}

function draftIn(directory: string): string {
  return join(directory, `start.draft.${randomUUID()}`);
}

async function generations(directory: string): Promise<number[]> {
  const names = await readdir(directory);
  return names
    .filter((name) => name.startsWith(PREFIX) && /^\d+$/.test(name.slice(PREFIX.length)))
    .map((name) => Number(name.slice(PREFIX.length)))
    .toSorted((a, b) => a - b);
}

async function stateOf(path: string, here: Here): Promise<State> {
  const text = await readOwnFile(path);
  // Gone since the list was read: a higher one exists, and claiming ours will show it.
  if (text === undefined) return FREE;
  const content = parseOwnFile(path, text, contentSchema);
  if (content.kind === 'torn') return stateOfTorn(path);
  const holder = content.value;
  if (holder === undefined) return FREE;
  if (holder.inode !== undefined && holder.inode !== here.inode) return FREE;
  const isHere = holder.host === here.host && (holder.namespace ?? here.namespace) === here.namespace;
  const isHeld = isHere ? await isAlive(holder) : (await ageMs(path)) < FOREIGN_HOLDER_MS;
  if (!isHeld) return DEAD;
  const by = `Process ${holder.pid} on ${holder.host} is starting or stopping it: wait for it, or end it with kill ${holder.pid}`;
  return { kind: 'held', by };
}

/** Its holder is dead where this host has been started since. Another host may share the directory, and is given as long as one that cannot be asked. */
async function stateOfTorn(path: string): Promise<State> {
  const age = await ageMs(path);
  if (age > Math.min(uptime() * 1_000, FOREIGN_HOLDER_MS)) return DEAD;
  const by = `${path} does not say by whom, as after a power cut: if no certsweep is starting or stopping on any host, remove it`;
  return { kind: 'held', by };
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
