import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { connectOnce } from '../../../../src/runtime/redis/connection.ts';
import { readRecord, writeRecord } from '../../../../src/runtime/redis/embedded/data-directory.ts';
import { locateServer } from '../../../../src/runtime/redis/embedded/locate.ts';
import type { RedisNotice } from '../../../../src/runtime/redis/notice.ts';
import { openRedis } from '../../../../src/runtime/redis/open-redis.ts';
import { identify } from '../../../../src/runtime/redis/embedded/process-identity.ts';
import { serverEnvironment } from '../../../../src/runtime/redis/embedded/server-binary.ts';
import { killServer, useEmbeddedPlace } from './embedded-place.ts';

const place = useEmbeddedPlace();

describe('the embedded Redis', () => {
  it('starts, answers, and stops with the last one who leaves', async () => {
    const redis = await place.open();
    expect(redis.kind).toBe('embedded');
    expect(await place.client(redis).ping()).toBe('PONG');
    place.clients[0]?.disconnect();
    await redis.close();
    await redis.close();
    expect(place.pidOf('stopped')).toBe(place.pidOf('started'));
    expect(await identify(place.pidOf('started'))).toBeUndefined();
  });

  it('keeps what was written over a stop', async () => {
    const first = await place.open();
    await place.client(first).set('batch', 'accepted');
    place.clients[0]?.disconnect();
    await first.close();
    expect(await place.client(await place.open()).get('batch')).toBe('accepted');
  });

  it('runs with an append-only file, no snapshots and no eviction', async () => {
    const settings = place.client(await place.open());
    expect(await settings.config('GET', 'appendonly')).toEqual(['appendonly', 'yes']);
    expect(await settings.config('GET', 'appendfsync')).toEqual(['appendfsync', 'everysec']);
    expect(await settings.config('GET', 'aof-use-rdb-preamble')).toEqual(['aof-use-rdb-preamble', 'yes']);
    expect(await settings.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction']);
    expect(await settings.config('GET', 'save')).toEqual(['save', '']);
    expect(await settings.config('GET', 'port')).toEqual(['port', '0']);
  });

  it('keeps the password to its owner: not on the command line, in the environment, a log or a description', async () => {
    const redis = await place.open();
    const password = redis.options.password ?? '';
    expect(password).toMatch(/^[\w-]{43}$/);
    const directory = join(place.dataDir, 'redis');
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    for (const file of ['password', 'redis.conf', 'redis.log', 'server.json']) {
      expect((await stat(join(directory, file))).mode & 0o077).toBe(0);
    }
    expect(redis.describe).not.toContain(password);
    expect(JSON.stringify(place.notices)).not.toContain(password);
    expect(await readFile(join(directory, 'redis.log'), 'utf8')).not.toContain(password);
  });

  it.runIf(process.platform === 'linux')('keeps the password off the command line', async () => {
    const redis = await place.open();
    const commandLine = await readFile(`/proc/${place.pidOf('started')}/cmdline`, 'utf8');
    expect(commandLine).toContain('-server');
    expect(commandLine).not.toContain(redis.options.password);
  });

  it('gives the server nothing of our environment', async () => {
    const { path, libraryPath = '' } = await locateServer(undefined, () => undefined);
    const folder = join(place.dataDir, 'bin');
    await mkdir(folder);
    const witness = `#!/bin/sh\nenv > '${folder}/environment'\nLD_LIBRARY_PATH='${libraryPath}' exec '${path}' "$@"\n`;
    await writeFile(join(folder, 'redis-server'), witness, { mode: 0o755 });
    vi.stubEnv('PATH', folder);
    vi.stubEnv('ALIBABA_CLOUD_ACCESS_KEY_SECRET', 'of-the-worker');
    try {
      await place.open();
    } finally {
      vi.unstubAllEnvs();
    }
    const lines = (await readFile(join(folder, 'environment'), 'utf8')).trim().split('\n');
    // The shell adds its own.
    expect(lines.filter((line) => !/^(PWD|OLDPWD|SHLVL|_)=/.test(line))).toEqual(['LANG=C']);
  });

  it('has its data again after kill -9', async () => {
    const first = await place.open(place.dataDir, 'always');
    await place.client(first).set('outcome', 'revoked');
    await killServer(place.pidOf('started'));
    const second = await place.open(place.dataDir, 'always');
    expect(await place.client(second).get('outcome')).toBe('revoked');
    expect(place.notices.filter(({ kind }) => kind === 'lost')).toHaveLength(1);
    expect(place.notices.filter(({ kind }) => kind === 'started')).toHaveLength(2);
    // A connection from before the death finds the new server by itself.
    expect(await place.clients[0]?.get('outcome')).toBe('revoked');
  });

  it('turns appendfsync always on in a server that runs already', async () => {
    await place.open();
    const second = await place.open(place.dataDir, 'always');
    expect(await place.client(second).config('GET', 'appendfsync')).toEqual(['appendfsync', 'always']);
  });

  it('waits for a server that is still loading its data', async () => {
    const first = await place.open(place.dataDir, 'always');
    // Redis listens to nobody between two lots of some thousand commands, so there must be many lots.
    const pipeline = place.client(first).pipeline();
    for (let key = 0; key < 30_000; key += 1) pipeline.set(`key:${key}`, 'value');
    await pipeline.exec();
    await killServer(place.pidOf('started'));
    for (const before of place.opened) await before.close();

    const starting = place.notices.find((event) => event.kind === 'starting');
    if (starting?.kind !== 'starting') throw new Error('not started');
    const slowly = ['redis.conf', '--key-load-delay', '300'];
    const { path, libraryPath } = starting.binary;
    const cwd = join(place.dataDir, 'redis');
    const child = spawn(path, slowly, { cwd, stdio: 'ignore', env: serverEnvironment(libraryPath) });
    const control = await vi.waitFor(() => connectOnce(first.options, 5_000), { timeout: 60_000, interval: 20 });
    const heard: RedisNotice[] = [];
    const second = await openRedis({ dataDir: place.dataDir }, (event) => {
      heard.push(event);
      // It would take ten seconds more.
      if (event.kind === 'loading') control.config('SET', 'key-load-delay', 0).catch(() => undefined);
    });
    place.opened.push(second);
    place.clients.push(control);
    expect(heard).toEqual([{ kind: 'adopted', pid: child.pid }, { kind: 'loading' }]);
    expect(await place.client(second).get('key:29999')).toBe('value');
  });

  it('refuses an older server than the one that wrote the data, and starts none', async () => {
    await (await place.open()).close();
    const directory = join(place.dataDir, 'redis');
    const record = await readRecord(directory);
    if (record === undefined) throw new Error('no record');
    await writeRecord(directory, { ...record, writer: { ...record.writer, version: '99.1.0' } });
    await expect(place.open()).rejects.toThrow(/is too old: the data was written by (redis|valkey) 99\.1\.0/);
    expect(place.notices.filter(({ kind }) => kind === 'started')).toHaveLength(1);
  });

  it('says what the server said when it does not start', async () => {
    await (await place.open()).close();
    const files = join(place.dataDir, 'redis/appendonlydir');
    for (const name of await readdir(files)) {
      if (name.endsWith('.rdb')) await writeFile(join(files, name), 'REDIS0010 this is not a dump');
    }
    await expect(place.open()).rejects.toThrow(/its log .*redis\.log ends with: .+/is);
  });

  it('names the process that hangs instead of starting a second one beside it', async () => {
    await place.open();
    const pid = place.pidOf('started');
    process.kill(pid, 'SIGSTOP');
    try {
      await expect(place.open()).rejects.toThrow(
        new RegExp(`process ${pid}\\) runs but cannot be used: .*does not answer in time`),
      );
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    expect(place.notices.filter(({ kind }) => kind === 'started')).toHaveLength(1);
  });

  it('refuses a data directory that is a file', async () => {
    await writeFile(join(place.dataDir, 'taken'), '');
    await expect(place.open(join(place.dataDir, 'taken'))).rejects.toThrow(
      /The data directory .*taken\/redis cannot be used/,
    );
  });

  it('does not touch the mode of the directory it was given', async () => {
    const shared = join(place.dataDir, 'shared');
    await mkdir(shared, { mode: 0o755 });
    await place.open(shared);
    expect((await stat(shared)).mode & 0o777).toBe(0o755);
  });
});
