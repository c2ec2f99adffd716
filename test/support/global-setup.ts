import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { describeNotice } from '../../src/runtime/redis/notice.ts';
import { openRedis } from '../../src/runtime/redis/open-redis.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the run's shared Redis is; take it through `testRedis()`. */
    redis: { readonly path: string; readonly password: string };
  }
}

/** One embedded Redis for the whole run, started as the product starts it, so that the tests need nothing installed. */
export default async function startSharedRedis(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = await mkdtemp(join(tmpdir(), 'certsweep-test-'));
  const open = await openRedis({ dataDir }, (event) => {
    if (event.kind === 'unpacking') process.stdout.write(`${describeNotice(event)}\n`);
    // A test process that is slow to end must not leave the server behind.
    if (event.kind === 'left-running') process.kill(event.pid, 'SIGTERM');
  });
  const { path = '', password = '' } = open.options;
  project.provide('redis', { path, password });
  return async () => {
    await open.close();
    // One that was told so may still write.
    await rm(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  };
}
