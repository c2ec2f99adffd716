import { readdirSync, readlinkSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ScratchFile, ScratchUnavailable } from '../../src/manifest/scratch-file.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'certsweep-scratch-test-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Files below the folder that this process has open. */
function openHere(): string[] {
  return readdirSync('/proc/self/fd').flatMap((number) => {
    try {
      const target = readlinkSync(join('/proc/self/fd', number));
      return target.startsWith(folder) ? [target] : [];
    } catch {
      // The listing had a number of its own.
      return [];
    }
  });
}

describe('ScratchFile', () => {
  it('gives back what was written, wherever it lies', () => {
    const file = new ScratchFile(folder);
    const pieces = [1, 70_000, 16].map((length, at) => new Uint8Array(length).fill(at + 1));
    const starts = pieces.map((piece) => file.append(piece));
    expect(starts).toEqual([0, 1, 70_001]);
    const back = new Uint8Array(4);
    file.read(back, 69_999);
    expect([...back]).toEqual([2, 2, 3, 3]);
    file.close();
  });

  it('has no name, so that nothing is left of a process that was killed', async () => {
    const file = new ScratchFile(folder);
    file.append(new Uint8Array(100));
    expect(await readdir(folder)).toEqual([]);
    file.close();
  });

  it.skipIf(process.platform !== 'linux')('is opened by its first write only, and given back by close', () => {
    const file = new ScratchFile(folder);
    expect(openHere()).toEqual([]);
    file.append(new Uint8Array(100));
    file.append(new Uint8Array(100));
    expect(openHere()).toHaveLength(1);
    file.close();
    file.close();
    expect(openHere()).toEqual([]);
  });

  it('does not take a part for the whole', () => {
    const file = new ScratchFile(folder);
    file.append(new Uint8Array(100));
    expect(() => file.read(new Uint8Array(16), 90)).toThrow(/cannot be used \(cut short at byte 100\)/);
    file.close();
    expect(() => file.read(new Uint8Array(16), 0)).toThrow(ScratchUnavailable);
  });
});

describe('ScratchUnavailable', () => {
  const failureIn = (place: string): unknown => {
    try {
      new ScratchFile(place).append(new Uint8Array(1));
    } catch (error) {
      return error;
    }
    return undefined;
  };

  it('names the folder, what is wrong with it, and the way out', async () => {
    const gone = join(folder, 'gone');
    const noFolder = join(folder, 'a-file');
    await writeFile(noFolder, '');
    for (const [place, words] of [
      [gone, 'does not exist (ENOENT)'],
      [noFolder, 'is not a folder (ENOTDIR)'],
    ] as const) {
      const error = failureIn(place);
      expect(error).toBeInstanceOf(ScratchUnavailable);
      const { message } = error as ScratchUnavailable;
      expect(message).toContain(`The folder for temporary files, ${place}, ${words}.`);
      expect(message).toMatch(/22 MB .* another one with TMPDIR.* Nothing was submitted\.$/);
    }
  });

  it.each([
    ['ENOSPC', 'is full (ENOSPC)'],
    ['EROFS', 'is read-only (EROFS)'],
    ['EIO', 'cannot be used (EIO)'],
  ])('has words for %s', (code, words) => {
    const error = Object.assign(new Error(`${code}: i/o`), { code });
    expect(new ScratchUnavailable('/scratch', error).message).toContain(`/scratch, ${words}.`);
  });
});
