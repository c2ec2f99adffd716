import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { prunePlans } from '../../src/app/kept-plans.ts';

const DAY_MS = 24 * 3_600_000;
const NOW_MS = Date.parse('2026-03-02T03:00:00Z');

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'certsweep-plans-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function write(name: string, ageDays: number): Promise<void> {
  const path = join(folder, name);
  await writeFile(path, '');
  const seconds = (NOW_MS - ageDays * DAY_MS) / 1_000;
  await utimes(path, seconds, seconds);
}

/** Runs a day apart, the youngest so many days old; each with its plan and report. */
async function writeRuns(count: number, youngestDays: number): Promise<string[]> {
  const names: string[] = [];
  for (let n = 0; n < count; n += 1) {
    const local = new Date(NOW_MS - (youngestDays + n) * DAY_MS).toISOString().slice(0, 16).replace(':', '');
    for (const name of [`${local}.plan`, `${local}.json`]) {
      await write(name, youngestDays + n);
      names.push(name);
    }
  }
  return names;
}

const left = async (): Promise<string[]> => (await readdir(folder)).toSorted();

it('keeps the files of the last 20 runs, however old they are', async () => {
  const names = await writeRuns(23, 100);
  await prunePlans(folder, NOW_MS);
  expect(await left()).toEqual(names.slice(0, 40).toSorted());
});

it('keeps the files of the last seven days, however many they are', async () => {
  for (let n = 0; n < 40; n += 1) await write(`2026-03-01T02${String(n + 10)}.plan`, 6.9);
  await write('2026-02-20T0300.plan', 7.1);
  await prunePlans(folder, NOW_MS);
  expect(await left()).toHaveLength(40);
  expect(await left()).not.toContain('2026-02-20T0300.plan');
});

it('takes away what killed runs left, and nothing that is no file of a run', async () => {
  const runs = await writeRuns(20, 0);
  const killed = ['2025-01-01T030007.ndjson', '2025-01-01T030007.plan.part', '2025-01-02T0300.plan'];
  const others = ['notes.txt', 'keep-2025-01-01T0300.plan', '2025-01-01T0300.plan.bak', '2025-01-01.csv'];
  for (const name of [...killed, ...others]) await write(name, 400);
  await prunePlans(folder, NOW_MS);
  expect(await left()).toEqual([...runs, ...others].toSorted());
});
