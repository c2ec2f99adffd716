import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { connect } from '../../../../src/runtime/redis/connection.ts';
import { readRecord } from '../../../../src/runtime/redis/embedded/data-directory.ts';
import { identify } from '../../../../src/runtime/redis/embedded/process-identity.ts';
import { certificates, expectAccounted, openFleet, type Fleet } from '../../../support/fleet.ts';
import { killServer, useEmbeddedPlace } from './embedded-place.ts';

/*
 * A directory that is moved or exchanged while a worker uses it. `data` is where the configuration says it is.
 */
let fleet: Fleet;
beforeEach(async () => {
  fleet = await openFleet({ sandbox: { latency: { kind: 'fixed', ms: 40 } } });
});
afterEach(async () => {
  // Where a test fails, a server may run in a folder that the fleet does not know.
  for (const name of ['first', 'moved']) {
    const server = await serverIn(join(fleet.folder, name)).catch(() => undefined);
    if (server !== undefined && (await identify(server)) !== undefined) await killServer(server);
  }
  await fleet.remove();
});

async function serverIn(dataDir: string): Promise<number> {
  const pid = (await readRecord(join(dataDir, 'redis')))?.process?.pid;
  if (pid === undefined) throw new Error(`no server in ${dataDir}`);
  return pid;
}

describe('a worker whose server dies', () => {
  it('after a switch of the link that it came by has it started where its data is, and works on', async () => {
    const [first, second] = [join(fleet.folder, 'first'), join(fleet.folder, 'second')];
    await mkdir(first);
    await mkdir(second);
    await symlink(first, fleet.dataDir);
    const items = certificates(200);
    const batch = await fleet.submit(items);
    const worker = await fleet.startWorker();
    await vi.waitFor(() => expect(fleet.sandbox.deletedCount).toBeGreaterThan(20), 60_000);

    await symlink(second, join(fleet.folder, 'next'));
    await rename(join(fleet.folder, 'next'), fleet.dataDir);
    await killServer(await serverIn(first));
    await vi.waitFor(() => expect(fleet.sandbox.deletedCount).toBe(items.length), 60_000);
    expect(await readdir(second)).toEqual([]);
    worker.kill('SIGTERM');
    expect(await worker.ended).toMatchObject({ code: 0 });

    await symlink(first, join(fleet.folder, 'next'));
    await rename(join(fleet.folder, 'next'), fleet.dataDir);
    await fleet.holdRedis();
    await expectAccounted(fleet, batch, items);
  });

  /** Has the directory moved away under a worker, and then its server killed. @returns how the worker ended */
  async function movedAway(inItsPlace: () => Promise<unknown>) {
    const worker = await fleet.startWorker();
    const pid = await serverIn(fleet.dataDir);
    await rename(fleet.dataDir, join(fleet.folder, 'moved'));
    await inItsPlace();
    await killServer(pid);
    const { code, stderr } = await worker.ended;
    return { code, last: stderr.split('\n').at(-2) };
  }

  it('after its directory was moved away ends with exit code 3 and says so', async () => {
    expect(await movedAway(() => Promise.resolve())).toEqual({ code: 3, last: isMoved(`${fleet.dataDir}/redis`) });
    expect(existsSync(fleet.dataDir)).toBe(false);
  });

  it('after another directory was put in its place ends so, too, and touches nothing there', async () => {
    const other = join(fleet.dataDir, 'redis');
    const ended = await movedAway(() => mkdir(other, { recursive: true, mode: 0o700 }));
    expect(ended).toEqual({ code: 3, last: isMoved(other) });
    expect(await readdir(other)).toEqual([]);
  });
});

function isMoved(path: string): string {
  return `${path} is no longer the folder that was opened here: it was moved, removed or exchanged. Put it back, or start again to use what is at ${path} now`;
}

describe('a directory that was exchanged under its server', () => {
  const place = useEmbeddedPlace();

  it('leaves the server that runs in its place alone, and keeps its own socket to itself', async () => {
    const dataDir = join(place.dataDir, 'data');
    const before = await place.open(dataDir);
    const server = place.pidOf('started');
    await rename(dataDir, join(place.dataDir, 'moved'));
    const after = await place.open(dataDir);
    const other = place.pidOf('started');
    expect(other).not.toBe(server);

    // The last one leaves what it can no longer reach; nobody stops what is not its own.
    await before.close();
    expect(place.notices.at(-1)).toEqual({ kind: 'left-behind', pid: server, directory: `${dataDir}/redis` });
    process.kill(server, 'SIGTERM');
    await vi.waitFor(async () => expect(await identify(server)).toBeUndefined(), 60_000);
    expect(await place.client(after).ping()).toBe('PONG');
    expect(await identify(other)).toBeDefined();
  });

  it('is not connected to by its path, not even where a copy has its password', async () => {
    const dataDir = join(place.dataDir, 'data');
    await (await place.open(dataDir)).close();
    await mkdir(join(place.dataDir, 'copy'));
    await cp(join(dataDir, 'redis'), join(place.dataDir, 'copy/redis'), { recursive: true });
    const before = await place.open(dataDir);
    const server = place.pidOf('started');
    await rename(dataDir, join(place.dataDir, 'moved'));
    await rename(join(place.dataDir, 'copy'), dataDir);
    await place.client(await place.open(dataDir)).set('only', 'in the copy');
    const faults: string[] = [];
    const client = connect(before, 'producer', ({ message }) => faults.push(message));
    place.clients.push(client);
    await expect(client.get('only')).rejects.toThrow('max retries');
    expect(new Set(faults)).toEqual(new Set([isMoved(`${dataDir}/redis`)]));
    await killServer(server);
  });
});
