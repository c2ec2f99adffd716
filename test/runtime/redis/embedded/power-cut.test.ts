import { readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { prepareDirectory, readRecord } from '../../../../src/runtime/redis/embedded/data-directory.ts';
import { withStartLock } from '../../../../src/runtime/redis/embedded/start-lock.ts';
import { openInstallation, type Installation } from '../../../support/installation.ts';

/*
 * What a power cut leaves of files that were made just before it: their names, and nothing in them.
 */
let installation: Installation;
let directory: string;
beforeEach(async () => {
  installation = await openInstallation();
  directory = join(installation.dataDir, 'redis');
});
afterEach(() => installation.remove());

const LONG_AGO = new Date('2001-01-01');
const NOTHING = { 'an empty file': '', 'a file of zeros': '\0'.repeat(64) };

/** Leaves only the name of the file, and a time from before this host was started. */
async function tear(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o600 });
  await utimes(path, LONG_AGO, LONG_AGO);
}

it.each(Object.entries(NOTHING))('%s as lock, record and password keeps no command from its work', async (_, text) => {
  expect((await installation.run(['status'])).code).toBe(0);
  const [lock = ''] = (await readdir(directory)).filter((name) => name.startsWith('start.lock.'));
  for (const name of [lock, 'server.json', 'password']) await tear(join(directory, name), text);
  expect(await installation.run(['status'])).toMatchObject({ code: 0 });
  // Its number is not given out twice.
  expect(await readdir(directory)).not.toContain(lock);
  expect((await readRecord(directory))?.writer.flavour).toMatch(/redis|valkey/);
});

describe('an empty lock that may be held', () => {
  const nothing = (): Promise<void> => Promise.resolve();

  it('is waited for, and then the message names the file and the next step', async () => {
    await prepareDirectory(installation.dataDir);
    const path = join(directory, 'start.lock.7');
    // Made just now: another host that shares the directory may have died of the power cut, or work still.
    await writeFile(path, '', { mode: 0o600 });
    await expect(withStartLock(directory, 100, nothing)).rejects.toThrow(
      `${path} does not say by whom, as after a power cut: if no certsweep is starting or stopping on any host, remove it`,
    );
    await utimes(path, LONG_AGO, LONG_AGO);
    await expect(withStartLock(directory, 100, (lock) => Promise.resolve(lock.afterDeath))).resolves.toBe(true);
  });

  it('that says what this version does not understand is named', async () => {
    await prepareDirectory(installation.dataDir);
    const path = join(directory, 'start.lock.7');
    await writeFile(path, '{"holder":"of another kind"}', { mode: 0o600 });
    await expect(withStartLock(directory, 100, nothing)).rejects.toThrow(`${path} was not written by this version`);
  });
});
