import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** What each error code of the system means for the folder; others are told by their code alone. */
const MEANINGS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'is not a folder',
  EACCES: 'may not be written to',
  EPERM: 'may not be written to',
  EROFS: 'is read-only',
  ENOSPC: 'is full',
  EDQUOT: 'is full: the quota of this user is used up',
  EFBIG: 'takes no larger file',
};

/**
 * The folder for temporary files does not serve, so duplicates cannot be found and the submission is refused. The message is
 * complete for a person: what, why, what next.
 */
export class ScratchUnavailable extends Error {
  override readonly name = 'ScratchUnavailable';

  constructor(folder: string, error: unknown) {
    const reason = error instanceof Error ? error.message : String(error);
    const code = error instanceof Error && 'code' in error ? String(error.code) : reason;
    const meaning = MEANINGS[code] ?? 'cannot be used';
    super(
      `The folder for temporary files, ${folder}, ${meaning} (${code}). A manifest this long needs it to find duplicates, ` +
        '22 MB for a million certificates: fix the folder, or name another one with TMPDIR, and submit again. ' +
        'Nothing was submitted.',
      { cause: error },
    );
  }
}

/**
 * A file for the length of one task. It has no name after its first write, so whatever ends the process, nothing is left behind.
 * Reads and writes are synchronous: a read of some bytes that were just written takes 2 to 5 µs so, and 40 as a promise.
 */
export class ScratchFile {
  readonly #folder: string;
  #file: number | undefined;
  #length = 0;

  /** @param folder - where the file will be, once there is something to write */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Writes all of the bytes at the end.
   * @returns where they begin
   * @throws ScratchUnavailable
   */
  append(bytes: Uint8Array): number {
    const start = this.#length;
    try {
      this.#file ??= openNameless(this.#folder);
      // A disk that fills up takes a part first, and says why with the next write.
      for (let done = 0; done < bytes.length;) {
        done += writeSync(this.#file, bytes, done, bytes.length - done, start + done);
      }
    } catch (error) {
      throw new ScratchUnavailable(this.#folder, error);
    }
    this.#length += bytes.length;
    return start;
  }

  /**
   * Fills `into` with what was written from `start` on.
   * @throws ScratchUnavailable
   */
  read(into: Uint8Array, start: number): void {
    try {
      if (this.#file === undefined) throw new Error('nothing was written');
      const read = readSync(this.#file, into, 0, into.length, start);
      if (read !== into.length) throw new Error(`cut short at byte ${start + read}`);
    } catch (error) {
      throw new ScratchUnavailable(this.#folder, error);
    }
  }

  /** May be called again, and when nothing was written. */
  close(): void {
    const file = this.#file;
    this.#file = undefined;
    if (file !== undefined) closeSync(file);
  }
}

function openNameless(folder: string): number {
  const path = join(folder, `certsweep-${randomBytes(8).toString('hex')}`);
  const file = openSync(path, 'wx+', 0o600);
  try {
    unlinkSync(path);
  } catch (error) {
    closeSync(file);
    throw error;
  }
  return file;
}
