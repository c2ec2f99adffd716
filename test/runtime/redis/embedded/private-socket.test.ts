import { spawnSync } from 'node:child_process';
import { chmod, chown, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { connect } from '../../../../src/runtime/redis/connection.ts';
import { prepareDirectory, readRecord } from '../../../../src/runtime/redis/embedded/data-directory.ts';
import { withStartLock } from '../../../../src/runtime/redis/embedded/start-lock.ts';
import { isRoot, listenAt, NOBODY } from './another-user.ts';
import { killServer, useEmbeddedPlace } from './embedded-place.ts';
import { startOpener } from './processes.ts';

const place = useEmbeddedPlace();
const hasContainers =
  isRoot && process.platform === 'linux' && spawnSync('unshare', ['-fpm', '--mount-proc', 'true']).status === 0;

describe.runIf(process.platform === 'linux')('under a data directory with a long path', () => {
  let deep: string;
  beforeEach(() => {
    deep = join(place.dataDir, 'a-rather-long-name-of-a-directory'.repeat(4), 'of-a-fleet-operator');
  });

  /** A folder for temporary files that one process has to itself. */
  async function temporary(name: string): Promise<string> {
    const folder = join(place.dataDir, name);
    await mkdir(folder, { mode: 0o700 });
    return folder;
  }

  it('the socket is in the directory too, and in no folder for temporary files', async () => {
    const [one, other] = [await temporary('one'), await temporary('other')];
    const first = startOpener(deep, ['env', `TMPDIR=${one}`, `XDG_RUNTIME_DIR=${one}`]);
    await first.opened;
    const second = startOpener(deep, ['env', `TMPDIR=${other}`, `XDG_RUNTIME_DIR=${other}`]);
    await second.opened;
    expect(second.notices).toEqual([{ kind: 'adopted', pid: first.notices.at(-1)?.pid }]);
    expect((await stat(join(deep, 'redis/redis.sock'))).isSocket()).toBe(true);
    await first.close();
    await second.close();
    expect(second.notices.at(-1)?.kind).toBe('stopped');
    expect([...(await readdir(one)), ...(await readdir(other))]).toEqual([]);
    expect(await readdir(join(deep, 'redis'))).not.toContain('redis.sock');
  });

  it('of more bytes than a server can say, its server is used all the same', async () => {
    const deeper = join(deep, ...Array<string>(6).fill('d'.repeat(200)));
    await place.open(deeper);
    await (await place.open(deeper)).close();
    await place.opened[0]?.close();
    expect(place.notices.map(({ kind }) => kind)).toEqual([
      'starting',
      'started',
      'adopted',
      'left-running',
      'stopped',
    ]);
  });

  it('a connection from before a death finds the next server', async () => {
    const first = await place.open(deep, 'always');
    const client = place.client(first);
    await client.set('outcome', 'revoked');
    await killServer(place.pidOf('started'));
    await place.open(deep, 'always');
    expect(await client.get('outcome')).toBe('revoked');
  });

  it('a socket elsewhere that the record names is not connected to', async () => {
    await (await place.open(deep)).close();
    // What version 1 left after a clean stop; somebody else has made the folder since.
    const elsewhere = await temporary('certsweep-AbCdEf');
    const listener = await listenAt(join(elsewhere, 'redis.sock'));
    const record = { ...(await readRecord(join(deep, 'redis'))), v: 1, socket: join(elsewhere, 'redis.sock') };
    await writeFile(join(deep, 'redis/server.json'), JSON.stringify(record));
    const redis = await place.open(deep);
    expect(await place.client(redis).ping()).toBe('PONG');
    expect(listener.heard()).toBe('');
    await listener.close();
  });

  it.runIf(hasContainers)('two containers with folders of their own for temporary files run one server', async () => {
    const first = startOpener(deep, container(await temporary('one')));
    await first.opened;
    const second = startOpener(deep, container(await temporary('other')));
    await expect(second.opened).rejects.toThrow('runs in another container');
    expect(second.notices).toEqual([]);
    await first.close();
    expect(first.notices.at(-1)?.kind).toBe('stopped');
  });

  it('the lock of another container holds, though its process cannot be seen', async () => {
    const { path: directory } = await prepareDirectory(deep);
    const holder = { pid: 4_194_305, startedAt: 'a while ago', host: hostname(), namespace: 'pid:[1]' };
    await writeFile(join(directory, 'start.lock.1'), JSON.stringify(holder), { mode: 0o600 });
    await expect(withStartLock(directory, 100, () => Promise.resolve())).rejects.toThrow('for more than 100 ms');
  });
});

/** Runs a command as a container would: with process numbers of its own, and a file system for its temporary files that nobody else sees. */
function container(temporary: string): string[] {
  const inside = `mount -t tmpfs none '${temporary}' && exec env TMPDIR='${temporary}' "$@"`;
  return ['unshare', '-fpm', '--mount-proc', '--kill-child', 'sh', '-c', inside, 'sh'];
}

describe('before every connection', () => {
  /** A directory whose server has died under a client, and a program that listens in its place. */
  async function lost() {
    const redis = await place.open();
    const faults: Error[] = [];
    const client = connect(redis, 'worker', (error) => faults.push(error));
    place.clients.push(client);
    await client.ping();
    const directory = join(place.dataDir, 'redis');
    // So that it cannot come back before the other one listens.
    await chmod(directory, 0o777);
    await killServer(place.pidOf('started'));
    await rm(join(directory, 'redis.sock'), { force: true });
    const listener = await listenAt(join(directory, 'redis.sock'));
    return { client, directory, faults, listener };
  }

  /** Resolves when the client has been refused at least twice: it tries again by itself. */
  async function told(faults: readonly Error[], message: string): Promise<void> {
    await vi.waitFor(
      () => expect(faults.filter((error) => error.message.includes(message)).length).toBeGreaterThan(1),
      60_000,
    );
  }

  it('the folder is looked at, the first and every later one: open to others, nothing is sent', async () => {
    const { directory, faults, listener } = await lost();
    await told(faults, `${directory}. The folder is open to other users (mode 0777): close it with chmod 700`);
    expect(listener.heard()).toBe('');
    await listener.close();
    await chmod(directory, 0o700);
  });

  it.runIf(isRoot)('the folder is looked at: of another user, nothing is sent', async () => {
    const { directory, faults, listener } = await lost();
    await chown(directory, NOBODY, NOBODY);
    await chmod(directory, 0o700);
    await told(faults, `${directory}. The folder belongs to user ${NOBODY}, and this is user 0: run as that user`);
    expect(listener.heard()).toBe('');
    await chown(directory, 0, 0);
    await listener.close();
  });

  it.runIf(isRoot)('the socket is looked at: of another user, nothing is sent', async () => {
    const { client, directory, faults, listener } = await lost();
    await chown(join(directory, 'redis.sock'), NOBODY, NOBODY);
    await chmod(directory, 0o700);
    await told(faults, `${directory}/redis.sock. It belongs to user ${NOBODY}, and this is user 0`);
    expect(listener.heard()).toBe('');
    await listener.close();
    // Once it is put right, the client goes on by itself.
    await rm(join(directory, 'redis.sock'), { force: true });
    await place.open();
    expect(await client.ping()).toBe('PONG');
  });
});
