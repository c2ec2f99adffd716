import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis, RedisOptions } from 'ioredis';
import { inject } from 'vitest';
import { connect } from '../../src/runtime/redis/connection.ts';
import { openRedis } from '../../src/runtime/redis/open-redis.ts';
import type { OpenRedis } from '../../src/runtime/redis/open-redis.ts';

/** A server of its own for a test file that kills or pauses it. */
export interface TestRedis {
  readonly options: RedisOptions;
  /** Of the server now running; changes with `restart`. */
  readonly serverPid: () => number;
  readonly dataDir: string;
  /** Opens the same data again after the test has killed the server; the options stay valid. */
  restart(): Promise<void>;
  /** Ends the server, paused or not, and removes its data. */
  stop(): Promise<void>;
}

/** Starts a private embedded Redis in a temporary data directory; `always` so that what was acknowledged survives a kill -9. */
export async function startTestRedis(): Promise<TestRedis> {
  const dataDir = await mkdtemp(join(tmpdir(), 'certsweep-test-'));
  let pid = 0;
  let isLeft = false;
  const start = (): Promise<OpenRedis> =>
    openRedis({ dataDir, appendFsync: 'always' }, (event) => {
      if (event.kind === 'started' || event.kind === 'adopted') pid = event.pid;
      isLeft = event.kind === 'left-running';
    });
  let open = await start();
  return {
    options: open.options,
    serverPid: () => pid,
    dataDir,
    async restart() {
      const before = open;
      open = await start();
      // Its connection would count as another user of the new server.
      await before.close();
    },
    async stop() {
      signal(pid, 'SIGCONT');
      await open.close();
      // A process of the test still has a connection; its data goes now, while the server may still write.
      if (isLeft) signal(pid, 'SIGTERM');
      await rm(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    },
  };
}

/** A name space of the run's shared Redis. */
export interface TestKeys {
  readonly options: RedisOptions;
  /** `{certsweep-<random>}`: a hash tag, as the product's keys have. */
  readonly prefix: string;
  readonly client: Redis;
  /** Deletes every key that begins with the prefix, and disconnects the client. */
  cleanup(): Promise<void>;
}

/** The run's shared Redis with a key prefix nobody else has. */
export function testRedis(): TestKeys {
  const options = inject('redis');
  const prefix = `{certsweep-${randomBytes(6).toString('hex')}}`;
  const client = connect({ options }, 'producer', (error) => {
    throw error;
  });
  return {
    options,
    prefix,
    client,
    async cleanup() {
      for await (const keys of client.scanStream({ match: `${prefix}*`, count: 1_000 }) as AsyncIterable<string[]>) {
        if (keys.length > 0) await client.unlink(keys);
      }
      client.disconnect();
    },
  };
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // The test has killed it.
  }
}
