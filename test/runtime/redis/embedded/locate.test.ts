import { chmod, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { locateServer, refusal } from '../../../../src/runtime/redis/embedded/locate.ts';
import type { Writer } from '../../../../src/runtime/redis/embedded/locate.ts';
import type { RedisNotice } from '../../../../src/runtime/redis/notice.ts';
import { isOlder } from '../../../../src/runtime/redis/embedded/server-binary.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'certsweep-locate-'));
  vi.stubEnv('PATH', `${folder}:relative`);
  vi.stubEnv('XDG_CACHE_HOME', join(folder, 'cache'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

/** A server, or a writer of data. */
function redis(version: string): Writer {
  return { path: '/r', flavour: 'redis', version };
}

/** A program that says it is this server. */
async function install(name: string, says: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, `#!/bin/sh\necho '${says}'\n`, { mode: 0o755 });
  return path;
}

describe('where no server can be had, a person is told how to get one', () => {
  it.each<[NodeJS.Platform, RegExp]>([
    [
      'darwin',
      /^Neither redis-server nor valkey-server was found on PATH\. Install one with: brew install redis; .*docker run -d -p 127\.0\.0\.1:6379:6379 redis:7 redis-server --appendonly yes.* or give redis\.url$/,
    ],
    [
      'win32',
      /^Neither .* Redis does not run on win32 itself: use a container, for a trial: docker run -d .*, and redis\.url redis:\/\/127\.0\.0\.1:6379, or give redis\.url$/,
    ],
    [
      'linux',
      /^Neither .* with your package manager \(.*apt-get install redis-server; .*dnf install valkey; .*apk add redis\)/,
    ],
  ])('on %s', async (platform, message) => {
    const notices: RedisNotice[] = [];
    const locating = locateServer(undefined, (event) => notices.push(event), { platform, debian: undefined });
    await expect(locating).rejects.toThrow(message);
    expect(notices).toEqual([]);
  });

  it('on a Debian whose cache folder cannot be written', async () => {
    await writeFile(join(folder, 'file'), '');
    vi.stubEnv('XDG_CACHE_HOME', join(folder, 'file'));
    const into = join(folder, 'file/certsweep/redis-debian-0-none');
    const notices: RedisNotice[] = [];
    const locating = locateServer(undefined, (event) => notices.push(event), {
      platform: 'linux',
      debian: { name: 'debian-0-none' },
    });
    await expect(locating).rejects.toThrow(`unpacking one into ${into} did not work: ENOTDIR`);
    expect(notices).toEqual([{ kind: 'unpacking', into }]);
  });

  it('on a Debian whose cache folder every user can write to', async () => {
    const cache = join(folder, 'cache');
    await mkdir(cache);
    await chmod(cache, 0o777);
    const locating = locateServer(undefined, () => undefined, {
      platform: 'linux',
      debian: { name: 'debian-0-none' },
    });
    await expect(locating).rejects.toThrow(
      `did not work: a server in there is not run, because every user can write to ${cache}: check that it is unchanged, then chmod o-w ${cache}, or name another folder with XDG_CACHE_HOME`,
    );
  });
});

describe('what was unpacked', () => {
  // As long as a name may be, so that nothing can be unpacked beside it.
  const system = { platform: 'linux', debian: { name: `debian-${'x'.repeat(235)}` } } as const;
  const DAY_MS = 86_400_000;
  let into: string;

  /** As if it had been unpacked so many days ago; undefined: before there was a stamp. */
  async function unpacked(version: string, days: number | undefined, history = ''): Promise<void> {
    into = join(folder, `cache/certsweep/redis-${system.debian.name}`);
    await mkdir(join(into, 'usr/bin'), { recursive: true });
    await mkdir(join(into, 'usr/share/doc/redis-server'), { recursive: true });
    const script = `#!/bin/sh\necho 'Redis server v=${version} sha=0'\n`;
    await writeFile(join(into, 'usr/bin/redis-server'), script, { mode: 0o755 });
    await writeFile(join(into, 'usr/share/doc/redis-server/changelog.Debian.gz'), gzipSync(history));
    if (days === undefined) return;
    await writeFile(join(into, 'unpacked'), '');
    const then = new Date(Date.now() - days * DAY_MS);
    await utimes(join(into, 'unpacked'), then, then);
  }

  async function noticed(): Promise<string[]> {
    const notices: RedisNotice[] = [];
    const { path } = await locateServer(undefined, (event) => notices.push(event), system);
    expect(path).toBe(join(into, 'usr/bin/redis-server'));
    return notices.map(({ kind }) => kind);
  }

  it.each<[string, number | undefined, string]>([
    ['7.0.15', undefined, 'fixes CVE-2025-49844'],
    ['7.4.6', 31, 'fixes CVE-2025-49844'],
    ['7.0.15', 2, 'fixes CVE-2024-0001'],
  ])('%s of %s days that %s is renewed; where that fails it is used, and left alone for a day', async (...told) => {
    await unpacked(...told);
    expect(await noticed()).toEqual(['renewing', 'not-renewed']);
    expect(await noticed()).toEqual([]);
    const yesterday = new Date(Date.now() - 1.1 * DAY_MS);
    await utimes(`${into}.tried`, yesterday, yesterday);
    expect(await noticed()).toEqual(['renewing', 'not-renewed']);
  });

  it.each<[string, number, string]>([
    ['7.0.15', 29, 'fixes CVE-2025-49844'],
    ['7.4.6', 29, ''],
    ['7.0.15', 0.5, ''],
  ])('%s of %s days that %s is left alone', async (...told) => {
    await unpacked(...told);
    expect(await noticed()).toEqual([]);
  });
});

describe('locateServer', () => {
  const elsewhere = { platform: 'linux', debian: undefined } as const;

  it('takes a server from PATH', async () => {
    const path = await install('valkey-server', 'Valkey server v=8.0.1 sha=0 malloc=libc bits=64');
    const found = await locateServer(undefined, () => undefined, elsewhere);
    expect(found).toEqual({ path, flavour: 'valkey', version: '8.0.1' });
  });

  it('takes the one that wrote the data, on PATH or not, and no other kind', async () => {
    await mkdir(join(folder, 'away'));
    await install('redis-server', 'Redis server v=7.0.15 sha=0');
    const path = await install('away/valkey-server', 'Valkey server v=8.0.1 sha=0');
    const writer = { path, flavour: 'valkey', version: '8.0.1' } as const;
    expect((await locateServer(writer, () => undefined, elsewhere)).path).toBe(path);
  });

  it('passes over a recorded server that is gone, writable or not', async () => {
    await mkdir(join(folder, 'open'));
    await chmod(join(folder, 'open'), 0o777);
    const writer = { path: join(folder, 'open/redis-server'), flavour: 'redis', version: '7.0.15' } as const;
    await expect(locateServer(writer, () => undefined, elsewhere)).rejects.toThrow(/^Neither/);
  });

  it('passes over a program that is something else', async () => {
    await install('redis-server', 'hello');
    await expect(locateServer(undefined, () => undefined, elsewhere)).rejects.toThrow(/^Neither/);
  });

  it('says why each one it found may not be used', async () => {
    const old = await install('redis-server', 'Redis server v=6.0.16 sha=0');
    const valkey = await install('valkey-server', 'Valkey server v=8.0.1 sha=0');
    const writer = { path: '/gone/redis-server', flavour: 'redis', version: '7.2.5' } as const;
    const wrote = 'the data was written by redis 7.2.5 (/gone/redis-server)';
    await expect(locateServer(writer, () => undefined, elsewhere)).rejects.toThrow(
      `No Redis server may be used here: ${old} 6.0.16 is older than 6.2; ${valkey} 8.0.1 is valkey, but ${wrote}; put that one back`,
    );
  });
});

describe('versions', () => {
  it.each([
    ['7.0.15', '7.0.4', undefined],
    ['7.0.4', '7.0.15', undefined],
    ['7.2.0', '7.0.15', undefined],
    ['7.0.15', '7.2.0', 'is too old'],
    ['7.9.0', '8.0.0', 'is too old'],
    ['10.0.0', '9.9.0', undefined],
  ])('%s opens what %s wrote: refused for %s', (candidate, writer, reason) => {
    const found = refusal(redis(candidate), redis(writer));
    expect(found?.slice(0, 10)).toBe(reason);
  });

  it('are in an order, whatever the patch release', () => {
    const version = fc.tuple(fc.nat(20), fc.nat(20), fc.nat(99));
    fc.assert(
      fc.property(version, version, (a, b) => {
        const order = a[0] - b[0] || a[1] - b[1];
        expect(isOlder(a.join('.'), b.join('.'))).toBe(order < 0);
      }),
    );
  });
});
