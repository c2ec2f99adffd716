import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { prepareDirectory, readRecord } from '../../../../src/runtime/redis/embedded/data-directory.ts';
import { identify } from '../../../../src/runtime/redis/embedded/process-identity.ts';
import { withStartLock } from '../../../../src/runtime/redis/embedded/start-lock.ts';
import { openInstallation, settingsOf, type Installation } from '../../../support/installation.ts';
import { killServer, useEmbeddedPlace } from './embedded-place.ts';
import { startOpener } from './processes.ts';

const execute = promisify(execFile);
const place = useEmbeddedPlace();

describe('one directory under two names', () => {
  let installation: Installation;
  beforeEach(async () => {
    installation = await openInstallation();
  });
  afterEach(() => installation.remove());

  it('keeps its data when a command that came by a link is the last to leave', async () => {
    const dataDir = join(place.dataDir, 'real');
    const current = join(place.dataDir, 'current');
    await mkdir(dataDir);
    await symlink(dataDir, current);
    const worker = await place.open(dataDir);
    const client = place.client(worker);
    await client.set('batch', 'accepted');
    const config = await installation.configure({ ...settingsOf(), dataDir: current }, 'link.yaml');
    const status = installation.start(['status', '--watch', '--config', config]);
    await status.says('No batch in');
    client.disconnect();
    await worker.close();
    expect(place.notices.at(-1)?.kind).toBe('left-running');
    status.kill('SIGINT');
    await status.ended;
    expect(await identify(place.pidOf('left-running'))).toBeUndefined();
    expect(await place.client(await place.open(dataDir)).get('batch')).toBe('accepted');
  });
});

it('a path with ".." in it leads to one folder, also behind a link', async () => {
  await mkdir(join(place.dataDir, 'far/away'), { recursive: true });
  await symlink(join(place.dataDir, 'far/away'), join(place.dataDir, 'link'));
  await place.open(`${place.dataDir}/link/../data`);
  expect(existsSync(join(place.dataDir, 'data/redis/server.json'))).toBe(true);
  expect(existsSync(join(place.dataDir, 'far/data'))).toBe(false);
});

describe('a copy of a directory', () => {
  /** A directory whose server runs on without any process of ours, as after kill -9 of a worker. */
  async function orphan(name: string): Promise<{ dataDir: string; pid: number }> {
    const dataDir = join(place.dataDir, name);
    const owner = startOpener(dataDir);
    await owner.opened;
    await owner.kill();
    const server = (await readRecord(join(dataDir, 'redis')))?.process;
    if (server === undefined) throw new Error('no server runs');
    return { dataDir, pid: server.pid };
  }

  it.each([
    ['beside a short path', 'real', 'copy'],
    ['beside a long path', 'r'.repeat(120), 'c'.repeat(120)],
  ])('gets a server of its own, %s, and leaves that of the original alone', async (_case, name, copyName) => {
    const original = await orphan(name);
    const copy = join(place.dataDir, copyName);
    await execute('cp', ['-a', original.dataDir, copy]);
    const redis = await place.open(copy);
    expect(place.pidOf('started')).not.toBe(original.pid);
    await place.client(redis).set('only', 'in the copy');
    place.clients.pop()?.disconnect();
    await redis.close();
    expect(place.pidOf('stopped')).toBe(place.pidOf('started'));

    expect(await identify(original.pid)).toBeDefined();
    expect(existsSync(join(original.dataDir, 'redis/appendonlydir'))).toBe(true);
    const adopted = await place.open(original.dataDir);
    expect(place.pidOf('adopted')).toBe(original.pid);
    expect(await place.client(adopted).get('only')).toBeNull();
  });

  it('made of hard links shares files with the original, so that no server may run in it', async () => {
    const original = await orphan('real');
    const copy = join(place.dataDir, 'copy');
    await execute('cp', ['-al', original.dataDir, copy]);
    await expect(place.open(copy)).rejects.toThrow(
      `is not one that works in ${copy}/redis here. If it runs in another container, give it as redis.url; if the directory is a copy made of hard links, copy its files`,
    );
    expect(place.notices).toEqual([]);
    await killServer(original.pid);
  });

  it('is not locked by who holds the lock of the original', async () => {
    const original = join(place.dataDir, 'real');
    const copy = join(place.dataDir, 'copy');
    const { path: directory } = await prepareDirectory(original);
    await withStartLock(directory, 1_000, async () => {
      await execute('cp', ['-a', original, copy]);
      expect(await withStartLock(join(copy, 'redis'), 1_000, () => Promise.resolve('held'))).toBe('held');
    });
  });
});

it('starts no second server where the record of the first one is gone', async () => {
  await place.open();
  const record = join(place.dataDir, 'redis/server.json');
  const kept = await readRecord(join(place.dataDir, 'redis'));
  await rm(record);
  await expect(place.open()).rejects.toThrow(`process ${kept?.process?.pid}) runs in ${place.dataDir}/redis, but`);
  await killServer(place.pidOf('started'));
});
