import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ConfigError } from '../../../src/runtime/config/faults.ts';
import { jobKeyOf } from '../../../src/runtime/config/job-key.ts';
import { loadConfig } from '../../../src/runtime/config/load-config.ts';

const KEY = 'S3CRET'.repeat(6);

it('comes from the variable or from a file, without the line end behind it, and none is none', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'certsweep-key-'));
  const file = join(folder, 'key');
  await writeFile(file, `${KEY}\n`);
  expect(jobKeyOf({})).toBeUndefined();
  expect(jobKeyOf({ CERTSWEEP_JOB_KEY: KEY })).toBe(KEY);
  expect(jobKeyOf({ CERTSWEEP_JOB_KEY_FILE: file })).toBe(KEY);
  // Neither is a key of the configuration, and neither is unknown.
  await loadConfig({ environment: { CERTSWEEP_JOB_KEY: KEY } });
  await loadConfig({ environment: { CERTSWEEP_JOB_KEY_FILE: file } });
  await rm(folder, { recursive: true });
});

it('is refused where it is short, empty, twice there or cannot be read, and is not repeated', () => {
  const short = KEY.slice(0, 31);
  const refused = [
    [{ CERTSWEEP_JOB_KEY: short }, 'CERTSWEEP_JOB_KEY is 31 characters'],
    [{ CERTSWEEP_JOB_KEY: '' }, 'CERTSWEEP_JOB_KEY is 0 characters'],
    [{ CERTSWEEP_JOB_KEY: KEY, CERTSWEEP_JOB_KEY_FILE: '/etc/hostname' }, 'unset one of them'],
    [{ CERTSWEEP_JOB_KEY_FILE: '/nowhere/key' }, 'ENOENT'],
  ] as const;
  for (const [environment, words] of refused) {
    const told = messageOf(() => jobKeyOf(environment));
    expect(told).toContain(words);
    expect(told).not.toContain('S3CRET');
  }
});

function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error('not refused');
}
