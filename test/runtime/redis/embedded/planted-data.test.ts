import { chown, link, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { refusePlantedData } from '../../../../src/runtime/redis/embedded/own-files.ts';
import { isRoot, NOBODY } from './another-user.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'certsweep-planted-'));
});
afterEach(() => rm(directory, { recursive: true }));

const data = (): string => join(directory, 'appendonlydir');
const file = (): string => join(data(), 'appendonly.aof.1.incr.aof');

async function ownData(): Promise<void> {
  await mkdir(data());
  await writeFile(file(), '');
}

describe('what the server would open at its start', () => {
  it('may be missing, or ours alone', async () => {
    await expect(refusePlantedData(directory)).resolves.toBeUndefined();
    await ownData();
    await refusePlantedData(directory);
  });

  it('is refused where it is a link, to a directory or to a file', async () => {
    await symlink(tmpdir(), data());
    await expect(refusePlantedData(directory)).rejects.toThrow('appendonlydir is not a directory');
    await rm(data());
    await mkdir(data());
    await symlink('/etc/hostname', file());
    await expect(refusePlantedData(directory)).rejects.toThrow('incr.aof is not a file');
  });

  it('is refused where another directory has the same file', async () => {
    await ownData();
    await link(file(), join(directory, 'copy'));
    await expect(refusePlantedData(directory)).rejects.toThrow('has a second name');
  });

  it.runIf(isRoot)('is refused where it belongs to another user', async () => {
    await ownData();
    await chown(file(), NOBODY, NOBODY);
    await expect(refusePlantedData(directory)).rejects.toThrow(`belongs to user ${NOBODY}`);
  });
});
