import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import { connect } from '../../../../src/runtime/redis/connection.ts';
import type { RedisNotice } from '../../../../src/runtime/redis/notice.ts';
import { openRedis } from '../../../../src/runtime/redis/open-redis.ts';
import type { OpenRedis } from '../../../../src/runtime/redis/open-redis.ts';
import { identify } from '../../../../src/runtime/redis/embedded/process-identity.ts';

/** A data directory of its own for each test, and all that the test opens in it; closed and removed after it. */
export interface EmbeddedPlace {
  readonly dataDir: string;
  readonly notices: RedisNotice[];
  readonly opened: OpenRedis[];
  readonly clients: Redis[];
  open(at?: string, appendFsync?: 'everysec' | 'always'): Promise<OpenRedis>;
  client(redis: OpenRedis): Redis;
  /** The process of the last notice of this kind. */
  pidOf(kind: 'started' | 'adopted' | 'stopped' | 'left-running'): number;
}

/** Registers the hooks; call once at the top of a test file. */
export function useEmbeddedPlace(): EmbeddedPlace {
  let dataDir = '';
  const notices: RedisNotice[] = [];
  const opened: OpenRedis[] = [];
  const clients: Redis[] = [];
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'certsweep-embedded-'));
    for (const list of [notices, opened, clients]) list.length = 0;
  });
  afterEach(async () => {
    for (const client of clients) client.disconnect();
    for (const redis of opened) await redis.close();
    // A server that has just been told to end may still write.
    await rm(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  });
  return {
    get dataDir() {
      return dataDir;
    },
    notices,
    opened,
    clients,
    async open(at = dataDir, appendFsync = 'everysec') {
      const redis = await openRedis({ dataDir: at, appendFsync }, (event) => notices.push(event));
      opened.push(redis);
      return redis;
    },
    client(redis) {
      const made = connect(redis, 'producer', () => undefined);
      clients.push(made);
      return made;
    },
    pidOf(kind) {
      const notice = notices.findLast((event) => event.kind === kind);
      if (notice === undefined || !('pid' in notice)) throw new Error(`no notice ${kind}`);
      return notice.pid;
    },
  };
}

/** Ends a server as a crash would, and returns when it is gone. */
export async function killServer(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL');
  await vi.waitFor(async () => expect(await identify(pid)).toBeUndefined(), 60_000);
}
