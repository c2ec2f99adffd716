import { constants, type Stats } from 'node:fs';
import { lstat, open, readdir, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { z } from 'zod';
import { RedisUnavailable } from '../describe-error.ts';

/*
 * Files of the embedded Redis' own folder. A link that somebody else has put there is never followed, and what somebody else has written there
 * is never believed: the folder may have been open to others, or come from a backup.
 */

/** There is no room for one of these files. */
export class OwnDiskFull extends RedisUnavailable {
  constructor(path: string, cause: unknown) {
    const code = hasCode(cause, 'EDQUOT') ? 'EDQUOT, the quota of this user' : 'ENOSPC';
    super(`There is no room left in ${dirname(path)} (${code}): free space on its disk`, { cause });
  }
}

const { O_RDONLY, O_WRONLY, O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants;

/** @returns undefined when the file is not there */
export async function readOwnFile(path: string): Promise<string | undefined> {
  let file: FileHandle;
  try {
    file = await openOwnFile(path, O_RDONLY);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
  try {
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/** What one of our files of JSON says. `torn`: nothing, since a power cut came before its text was on disk. */
export type Content<T> = { readonly kind: 'whole'; readonly value: T } | { readonly kind: 'torn' };

/** @throws RedisUnavailable when it says what this version does not understand */
export function parseOwnFile<T>(path: string, text: string, schema: z.ZodType<T>): Content<T> {
  if (isTorn(text)) return { kind: 'torn' };
  try {
    return { kind: 'whole', value: schema.parse(JSON.parse(text)) };
  } catch (error) {
    throw new RedisUnavailable(
      `${path} was not written by this version: use the version of certsweep that wrote it, or another data directory`,
      { cause: error },
    );
  }
}

/** Empty, or with the length of what was to be written and only zeros: so file systems show a file whose text a power cut has taken. */
export function isTorn(text: string): boolean {
  return text.replaceAll('\0', '').trim() === '';
}

/** Replaces the file: old or new, never half. rename(2) replaces in one step, and a power cut finds the new text on disk before it. */
export async function replaceOwnFile(path: string, text: string): Promise<void> {
  const draft = `${path}.new`;
  await rm(draft, { force: true });
  await createOwnFile(draft, text, { toDisk: true });
  await rename(draft, path);
}

/** @throws EEXIST when something is there already, a link too; OwnDiskFull, and then nothing is left of it */
export async function createOwnFile(path: string, text: string, { toDisk = false } = {}): Promise<void> {
  try {
    const file = await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      await file.writeFile(text);
      if (toDisk) await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!hasCode(error, 'ENOSPC') && !hasCode(error, 'EDQUOT')) throw error;
    await rm(path, { force: true });
    throw new OwnDiskFull(path, error);
  }
}

/** Writes over a file of ours where no other can be made: what it says may not be longer than before. */
export async function overwriteOwnFile(path: string, text: string): Promise<void> {
  const file = await openOwnFile(path, O_WRONLY);
  try {
    const { size } = await file.stat();
    await file.write(text.padEnd(size), 0);
  } finally {
    await file.close();
  }
}

/** Opens the file for writing at its end, and makes it where it is not there. */
export function appendToOwnFile(path: string): Promise<FileHandle> {
  return openOwnFile(path, O_WRONLY | O_APPEND | O_CREAT);
}

/** The user as whom this process opens and makes files; undefined where there are no users. */
export function currentUser(): number | undefined {
  return process.geteuid?.();
}

async function openOwnFile(path: string, flags: number): Promise<FileHandle> {
  let file: FileHandle;
  try {
    // Without waiting: a named pipe would hold us until somebody opens its other end.
    file = await open(path, flags | O_NOFOLLOW | O_NONBLOCK, 0o600);
  } catch (error) {
    if (!hasCode(error, 'ELOOP') && !hasCode(error, 'EACCES')) throw error;
    throw new RedisUnavailable(
      hasCode(error, 'ELOOP')
        ? `${path} is a symbolic link, which is not followed: remove it, or put the file itself there`
        : `${path} may not be opened by user ${currentUser()}: remove it, or give it to that user with chown`,
      { cause: error },
    );
  }
  const found = await file.stat();
  const me = currentUser();
  if (found.isFile() && (me === undefined || found.uid === me)) return file;
  await file.close();
  throw new RedisUnavailable(
    found.isFile()
      ? `${path} belongs to user ${found.uid}, and this is user ${me}: it is not used; remove it, or give it to user ${me} with chown if you know what is in it`
      : `${path} is not a file: remove it`,
  );
}

/**
 * What the server itself opens at its start: it would follow a link, and obey what another user has written there.
 * @throws RedisUnavailable naming what is not ours alone
 */
export async function refusePlantedData(directory: string): Promise<void> {
  const folder = join(directory, 'appendonlydir');
  const files = [join(directory, 'dump.rdb')];
  const found = await lstatIfThere(folder);
  if (found !== undefined) {
    if (!found.isDirectory()) throw planted(folder, 'is not a directory', 'put the directory itself there');
    refuseForeign(folder, found.uid);
    files.push(...(await readdir(folder)).map((name) => join(folder, name)));
  }
  for (const path of files) {
    const file = await lstatIfThere(path);
    if (file === undefined) continue;
    if (!file.isFile()) throw planted(path, 'is not a file', 'put the file itself there');
    refuseForeign(path, file.uid);
    // Another directory has the same file, and a server on it would write into ours.
    if (file.nlink > 1) throw planted(path, 'has a second name (a hard link)', 'copy the data directory with cp -a');
  }
}

function refuseForeign(path: string, uid: number): void {
  const me = currentUser();
  if (me === undefined || uid === me) return;
  throw planted(
    path,
    `belongs to user ${uid}, and this is user ${me}`,
    'change its owner with chown if you know what is in it',
  );
}

function planted(path: string, fault: string, remedy: string): RedisUnavailable {
  return new RedisUnavailable(
    `${path} ${fault}, so no Redis is started on it: ${remedy}, or choose another data directory`,
  );
}

async function lstatIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
