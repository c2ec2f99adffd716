import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { FLAW, isPatched } from '../patched.ts';
import type { ServerBinary } from './server-binary.ts';

const DAY_MS = 86_400_000;
/** A distribution fixes its packages, and nobody else renews what was unpacked. */
const LIFE_MS = 30 * DAY_MS;
/** Written into what is unpacked; its time is that of the unpacking. */
export const STAMP = 'unpacked';
/** The package's own history, where a distribution says what it has fixed under its own version numbers. */
const HISTORY = 'usr/share/doc/redis-server/changelog.Debian.gz';

/** Whether what was unpacked into the folder must be unpacked again: it is old, or has a flaw that the distribution may have fixed since. */
export async function isStale(folder: string, { flavour, version }: ServerBinary): Promise<boolean> {
  const ageMs = await ageOf(join(folder, STAMP));
  if (ageMs > LIFE_MS) return true;
  // A new one that still has the flaw is looked at again a day later.
  return ageMs > DAY_MS && !isPatched(flavour, version) && !(await saysMended(folder));
}

/** Notes that a renewal is tried now. @returns false where one was tried within a day: without a network, each command would wait for it */
export async function mayTry(folder: string): Promise<boolean> {
  const tried = `${folder}.tried`;
  if ((await ageOf(tried)) < DAY_MS) return false;
  // A folder that cannot be written cannot be renewed either.
  return writeFile(tried, '').then(
    () => true,
    () => false,
  );
}

/** Without a file, as old as can be. */
async function ageOf(file: string): Promise<number> {
  const found = await stat(file).catch(() => undefined);
  return found === undefined ? Number.POSITIVE_INFINITY : Date.now() - found.mtimeMs;
}

async function saysMended(folder: string): Promise<boolean> {
  try {
    const history = await promisify(gunzip)(await readFile(join(folder, HISTORY)));
    return history.includes(FLAW);
  } catch {
    return false;
  }
}
