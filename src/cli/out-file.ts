import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { realpath, rename, rm, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CommandEnd, EXIT } from './exit.ts';

/** Only files fail so. Of a write, the system does not say to which file: all others that a command writes say it themselves. */
const OF_FILES = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 'EIO', 'EROFS']);

/** The system's code, where something that is written for this file could not be; the parts of it begin with its name. */
export function fileTrouble(error: unknown, out: string): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code = '', path } = error as NodeJS.ErrnoException;
  return path?.startsWith(out) === true || (path === undefined && OF_FILES.has(code)) ? code : undefined;
}

/**
 * Writes beside the file and renames at the end, so that half of it never looks like a whole one. A pipe or a device is written to as it is:
 * a file must not take its place.
 * @param what - begins the sentence that says why it cannot be written
 */
export async function writeWhole(
  path: string,
  what: string,
  text: AsyncIterable<string> | Iterable<string>,
): Promise<void> {
  const target = await realpath(path).catch(() => path);
  const part = `${target}.${randomBytes(4).toString('hex')}.part`;
  try {
    const found = await stat(target).catch(() => undefined);
    if (found !== undefined && !found.isFile()) {
      await pipeline(Readable.from(text), createWriteStream(target));
      return;
    }
    await pipeline(Readable.from(text), createWriteStream(part, { flags: 'wx' }));
    await rename(part, target);
  } catch (error) {
    await rm(part, { force: true });
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandEnd(
      EXIT.refused,
      `${what} could not be written to ${path} (${why}): choose another place with --out.`,
    );
  }
}
