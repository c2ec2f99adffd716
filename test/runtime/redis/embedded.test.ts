import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { connect } from '../../../src/runtime/redis/connection.ts';
import { readRecord, writeRecord } from '../../../src/runtime/redis/data-directory.ts';
import type { RedisNotice } from '../../../src/runtime/redis/notice.ts';
import { openRedis } from '../../../src/runtime/redis/open-redis.ts';
import type { OpenRedis } from '../../../src/runtime/redis/open-redis.ts';
import { identify, isAlive } from '../../../src/runtime/redis/process-identity.ts';
import { serverEnvironment } from '../../../src/runtime/redis/server-binary.ts';
import { buildOpener } from './processes.ts';
import type { Opener } from './processes.ts';

let dataDir: string;
let notices: RedisNotice[];
let opened: OpenRedis[];
let clients: Redis[];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'certsweep-embedded-'));
  notices = [];
  opened = [];
  clients = [];
});

afterEach(async () => {
  for (const client of clients) client.disconnect();
  for (const open of opened) await open.close();
  await rm(dataDir, { recursive: true, force: true });
});

async function open(at = dataDir, appendFsync: 'everysec' | 'always' = 'everysec'): Promise<OpenRedis> {
  const redis = await openRedis({ dataDir: at, appendFsync }, (event) => notices.push(event));
  opened.push(redis);
  return redis;
}

function client(redis: OpenRedis): Redis {
  const made = connect(redis, 'producer', () => undefined);
  clients.push(made);
  return made;
}

function pidOf(kind: 'started' | 'adopted' | 'stopped' | 'left-running'): number {
  const notice = notices.findLast((event) => event.kind === kind);
  if (notice === undefined || !('pid' in notice)) throw new Error(`no notice ${kind}`);
  return notice.pid;
}

async function killServer(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL');
  await vi.waitFor(async () => expect(await identify(pid)).toBeUndefined(), 10_000);
}

describe('the embedded Redis', () => {
  it('starts, answers, and stops with the last one who leaves', async () => {
    const redis = await open();
    expect(redis.kind).toBe('embedded');
    expect(await client(redis).ping()).toBe('PONG');
    clients[0]?.disconnect();
    await redis.close();
    await redis.close();
    expect(pidOf('stopped')).toBe(pidOf('started'));
    expect(await identify(pidOf('started'))).toBeUndefined();
  });

  it('keeps what was written over a stop', async () => {
    const first = await open();
    await client(first).set('batch', 'accepted');
    clients[0]?.disconnect();
    await first.close();
    expect(await client(await open()).get('batch')).toBe('accepted');
  });

  it('runs with an append-only file, no snapshots and no eviction', async () => {
    const settings = client(await open());
    expect(await settings.config('GET', 'appendonly')).toEqual(['appendonly', 'yes']);
    expect(await settings.config('GET', 'appendfsync')).toEqual(['appendfsync', 'everysec']);
    expect(await settings.config('GET', 'aof-use-rdb-preamble')).toEqual(['aof-use-rdb-preamble', 'yes']);
    expect(await settings.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction']);
    expect(await settings.config('GET', 'save')).toEqual(['save', '']);
    expect(await settings.config('GET', 'port')).toEqual(['port', '0']);
  });

  it('keeps the password to its owner: not on the command line, in the environment, a log or a description', async () => {
    const redis = await open();
    const password = redis.options.password ?? '';
    expect(password).toMatch(/^[\w-]{43}$/);
    const directory = join(dataDir, 'redis');
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    for (const file of ['password', 'redis.conf', 'redis.log', 'server.json']) {
      expect((await stat(join(directory, file))).mode & 0o077).toBe(0);
    }
    expect(redis.describe).not.toContain(password);
    expect(JSON.stringify(notices)).not.toContain(password);
    expect(await readFile(join(directory, 'redis.log'), 'utf8')).not.toContain(password);
    const { pid } = (await readRecord(directory))?.process ?? { pid: 0 };
    if (process.platform === 'linux') {
      expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).not.toContain(password);
      expect(await readFile(`/proc/${pid}/environ`, 'utf8')).toMatch(/^LANG=C\0(LD_LIBRARY_PATH=[^\0]*\0)?$/);
    }
  });

  it('finds a short place for its socket when the data directory has a long path', async () => {
    const deep = join(dataDir, 'a-rather-long-name-of-a-directory'.repeat(4), 'of-a-fleet-operator');
    const redis = await open(deep);
    const socket = redis.options.path ?? '';
    expect(Buffer.byteLength(socket)).toBeLessThanOrEqual(103);
    expect((await stat(dirname(socket))).mode & 0o777).toBe(0o700);
    expect(await client(redis).ping()).toBe('PONG');
    await killServer(pidOf('started'));
    // Processes that lived through the death reconnect by themselves, so the place must stay.
    expect((await open(deep)).options.path).toBe(socket);
  });

  it('has its data again after kill -9', async () => {
    const first = await open(dataDir, 'always');
    await client(first).set('outcome', 'revoked');
    await killServer(pidOf('started'));
    const second = await open(dataDir, 'always');
    expect(await client(second).get('outcome')).toBe('revoked');
    expect(notices.filter(({ kind }) => kind === 'lost')).toHaveLength(1);
    expect(notices.filter(({ kind }) => kind === 'started')).toHaveLength(2);
    // A connection from before the death finds the new server by itself.
    expect(await clients[0]?.get('outcome')).toBe('revoked');
  });

  it('turns appendfsync always on in a server that runs already', async () => {
    await open();
    const second = await open(dataDir, 'always');
    expect(await client(second).config('GET', 'appendfsync')).toEqual(['appendfsync', 'always']);
  });

  it('waits for a server that is still loading its data', async () => {
    const first = await open(dataDir, 'always');
    const pipeline = client(first).pipeline();
    for (let key = 0; key < 2_000; key += 1) pipeline.set(`key:${key}`, 'x'.repeat(100));
    await pipeline.exec();
    await killServer(pidOf('started'));
    for (const before of opened) await before.close();

    const starting = notices.find((event) => event.kind === 'starting');
    if (starting?.kind !== 'starting') throw new Error('not started');
    const directory = join(dataDir, 'redis');
    const slow = ['--key-load-delay', '1000', '--loading-process-events-interval-bytes', '1024'];
    const child = spawn(starting.binary.path, [join(directory, 'redis.conf'), ...slow], {
      stdio: 'ignore',
      env: serverEnvironment(starting.binary.libraryPath),
    });
    await vi.waitFor(async () => expect(await readdir(directory)).toContain('redis.sock'), 10_000);
    notices = [];
    const second = await open();
    expect(notices).toEqual([{ kind: 'adopted', pid: child.pid }, { kind: 'loading' }]);
    expect(await client(second).get('key:1999')).toBe('x'.repeat(100));
  });

  it('refuses an older server than the one that wrote the data, and starts none', async () => {
    await (await open()).close();
    const directory = join(dataDir, 'redis');
    const record = await readRecord(directory);
    if (record === undefined) throw new Error('no record');
    await writeRecord(directory, { ...record, writer: { ...record.writer, version: '99.1.0' } });
    await expect(open()).rejects.toThrow(/is too old: the data was written by (redis|valkey) 99\.1\.0/);
    expect(notices.filter(({ kind }) => kind === 'started')).toHaveLength(1);
  });

  it('says what the server said when it does not start', async () => {
    await (await open()).close();
    const files = join(dataDir, 'redis/appendonlydir');
    for (const name of await readdir(files)) {
      if (name.endsWith('.rdb')) await writeFile(join(files, name), 'REDIS0010 this is not a dump');
    }
    await expect(open()).rejects.toThrow(/its log .*redis\.log ends with: .+/is);
  });

  it('names the process that hangs instead of starting a second one beside it', async () => {
    await open();
    const pid = pidOf('started');
    process.kill(pid, 'SIGSTOP');
    try {
      await expect(open()).rejects.toThrow(
        new RegExp(`process ${pid}\\) runs but cannot be used: .*does not answer in time`),
      );
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    expect(notices.filter(({ kind }) => kind === 'started')).toHaveLength(1);
  });

  it('refuses a data directory that is a file', async () => {
    await writeFile(join(dataDir, 'taken'), '');
    await expect(open(join(dataDir, 'taken'))).rejects.toThrow(/The data directory .*taken\/redis cannot be used/);
  });

  it('does not touch the mode of the directory it was given', async () => {
    const shared = join(dataDir, 'shared');
    await mkdir(shared, { mode: 0o755 });
    await open(shared);
    expect((await stat(shared)).mode & 0o777).toBe(0o755);
  });
});

describe('several processes on one data directory', () => {
  let program: Awaited<ReturnType<typeof buildOpener>>;
  beforeAll(async () => {
    program = await buildOpener();
  });
  afterAll(async () => {
    await program.discard();
  });

  function serverOf(opener: Opener): number | undefined {
    return opener.notices.find(({ kind }) => kind === 'started' || kind === 'adopted')?.pid;
  }

  it('share one server when they start at the same moment, and the last one stops it', async () => {
    const openers = Array.from({ length: 6 }, () => program.start(dataDir));
    await Promise.all(openers.map(({ opened: ready }) => ready));
    const all = openers.flatMap((opener) => opener.notices);
    expect(all.filter(({ kind }) => kind === 'started')).toHaveLength(1);
    expect(all.filter(({ kind }) => kind === 'adopted')).toHaveLength(5);
    expect(new Set(openers.map(serverOf)).size).toBe(1);
    await Promise.all(openers.map((opener) => opener.close()));
    const ends = openers.flatMap((opener) => opener.notices.slice(-1));
    expect(ends.filter(({ kind }) => kind === 'stopped')).toHaveLength(1);
    expect(ends.filter(({ kind }) => kind === 'left-running')).toHaveLength(5);
    expect(await identify(serverOf(openers[0]!) ?? 0)).toBeUndefined();
  });

  it('adopt the server of a process that was killed', async () => {
    const owner = program.start(dataDir);
    await owner.opened;
    await owner.kill();
    await open();
    expect(pidOf('adopted')).toBe(serverOf(owner));
    await opened[0]?.close();
    expect(pidOf('stopped')).toBe(serverOf(owner));
  });

  it('get one server however the starting process dies', async () => {
    // Killed at a different point of its start each time; whatever it left, at most one server may run afterwards.
    for (let round = 0; round < 6; round += 1) {
      const owner = program.start(dataDir);
      await Promise.race([vi.waitFor(() => expect(owner.notices.length).toBeGreaterThan(0), 20_000), owner.opened]);
      await new Promise((resolve) => setTimeout(resolve, round * 8));
      owner.opened.catch(() => undefined);
      await owner.kill();
      notices = [];
      const redis = await open();
      const serving = Number(/process_id:(\d+)/.exec(await client(redis).info('server'))?.[1]);
      expect(await serversIn(join(dataDir, 'redis'))).toEqual([serving]);
      clients.pop()?.disconnect();
      await redis.close();
      expect(await serversIn(join(dataDir, 'redis'))).toEqual([]);
    }
  });

  it('leave a server alone that others use, and one of them stops it', async () => {
    const other = program.start(dataDir);
    await other.opened;
    await (await open()).close();
    expect(pidOf('left-running')).toBe(serverOf(other));
    const record = await readRecord(join(dataDir, 'redis'));
    expect(record?.process !== undefined && (await isAlive(record.process))).toBe(true);
    await other.close();
    expect(other.notices.at(-1)?.kind).toBe('stopped');
  });
});

/** Every server process whose working directory is this one. */
async function serversIn(directory: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const status = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    if (/(redis|valkey)-server/.test(status) && status.includes(directory)) found.push(Number(name));
  }
  return found;
}
