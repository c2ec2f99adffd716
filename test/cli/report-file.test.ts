import { execFileSync } from 'node:child_process';
import { lstat, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeWhole } from '../../src/cli/out-file.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'certsweep-report-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function* rows(): AsyncGenerator<string> {
  yield 'a\n';
  yield 'b\n';
}

it('replaces a file, and leaves nothing beside it', async () => {
  const path = join(folder, 'report.csv');
  await writeFile(path, 'old');
  await writeWhole(path, 'The report', rows());
  expect(await readFile(path, 'utf8')).toBe('a\nb\n');
  expect(await readdir(folder)).toEqual(['report.csv']);
});

it('keeps the old file when the rows break off', async () => {
  const path = join(folder, 'report.csv');
  await writeFile(path, 'old');
  async function* broken(): AsyncGenerator<string> {
    yield* rows();
    throw new Error('Redis is gone');
  }
  await expect(writeWhole(path, 'The report', broken())).rejects.toThrow('Redis is gone');
  expect(await readFile(path, 'utf8')).toBe('old');
  expect(await readdir(folder)).toEqual(['report.csv']);
});

it('follows a link to its file', async () => {
  const path = join(folder, 'link.csv');
  await writeFile(join(folder, 'report.csv'), 'old');
  await symlink('report.csv', path);
  await writeWhole(path, 'The report', rows());
  expect((await lstat(path)).isSymbolicLink()).toBe(true);
  expect(await readFile(join(folder, 'report.csv'), 'utf8')).toBe('a\nb\n');
});

it('writes into a pipe, which stays one', async () => {
  const path = join(folder, 'pipe');
  execFileSync('mkfifo', [path]);
  const [text] = await Promise.all([readFile(path, 'utf8'), writeWhole(path, 'The report', rows())]);
  expect(text).toBe('a\nb\n');
  expect((await lstat(path)).isFIFO()).toBe(true);
});
