import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { readRecord } from '../../../../src/runtime/redis/embedded/data-directory.ts';
import { identify, isAlive } from '../../../../src/runtime/redis/embedded/process-identity.ts';
import { useEmbeddedPlace } from './embedded-place.ts';
import { startOpener, type Opener } from './processes.ts';

const place = useEmbeddedPlace();

describe('several processes on one data directory', () => {
  it('share one server when they start at the same moment, and the last one stops it', async () => {
    const openers = Array.from({ length: 6 }, () => startOpener(place.dataDir));
    await Promise.all(openers.map(({ opened: ready }) => ready));
    const all = openers.flatMap((opener) => opener.notices);
    expect(all.filter(({ kind }) => kind === 'started')).toHaveLength(1);
    expect(all.filter(({ kind }) => kind === 'adopted')).toHaveLength(5);
    expect(new Set(openers.map(serverOf)).size).toBe(1);
    await Promise.all(openers.map((opener) => opener.close()));
    const ends = openers.flatMap((opener) => opener.notices.slice(-1));
    expect(ends.filter(({ kind }) => kind === 'stopped')).toHaveLength(1);
    expect(ends.filter(({ kind }) => kind === 'left-running')).toHaveLength(5);
    expect(await identify(all.find(({ kind }) => kind === 'started')?.pid ?? 0)).toBeUndefined();
  });

  it('adopt the server of a process that was killed', async () => {
    const owner = startOpener(place.dataDir);
    await owner.opened;
    await owner.kill();
    await place.open();
    expect(place.pidOf('adopted')).toBe(serverOf(owner));
    await place.opened[0]?.close();
    expect(place.pidOf('stopped')).toBe(serverOf(owner));
  });

  it.runIf(process.platform === 'linux')('get one server however the starting process dies', async () => {
    // Killed at a different point of its start each time; whatever it left, at most one server may run afterwards.
    for (let round = 0; round < 6; round += 1) {
      const owner = startOpener(place.dataDir);
      await Promise.race([vi.waitFor(() => expect(owner.notices.length).toBeGreaterThan(0), 60_000), owner.opened]);
      await new Promise((resolve) => setTimeout(resolve, round * 8));
      owner.opened.catch(() => undefined);
      await owner.kill();
      place.notices.length = 0;
      const redis = await place.open();
      const serving = Number(/process_id:(\d+)/.exec(await place.client(redis).info('server'))?.[1]);
      expect(await serversIn(join(place.dataDir, 'redis'))).toEqual([serving]);
      place.clients.pop()?.disconnect();
      await redis.close();
      expect(await serversIn(join(place.dataDir, 'redis'))).toEqual([]);
    }
  });

  it('leave a server alone that others use, and one of them stops it', async () => {
    const other = startOpener(place.dataDir);
    await other.opened;
    await (await place.open()).close();
    expect(place.pidOf('left-running')).toBe(serverOf(other));
    const record = await readRecord(join(place.dataDir, 'redis'));
    expect(record?.process !== undefined && (await isAlive(record.process))).toBe(true);
    await other.close();
    expect(other.notices.at(-1)?.kind).toBe('stopped');
  });
});

function serverOf(opener: Opener): number | undefined {
  return opener.notices.find(({ kind }) => kind === 'started' || kind === 'adopted')?.pid;
}

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
