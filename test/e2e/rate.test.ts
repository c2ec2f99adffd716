import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { worstWindow } from '../../src/core/pace.ts';
import type { RunningCommand } from '../support/command.ts';
import { certificates, expectAccounted, openFleet, type Fleet } from '../support/fleet.ts';

let fleet: Fleet;
afterEach(() => fleet.remove());

const RECORDER = new URL('../support/send-recorder.mjs', import.meta.url).href;

it('two workers on one egress never send more than its pace in any sliding second', async () => {
  const qps = 100;
  fleet = await openFleet({ sandbox: { latency: { kind: 'fixed', ms: 20 } }, settings: { egress: { qps } } });
  const files = [join(fleet.folder, 'sends-1.json'), join(fleet.folder, 'sends-2.json')];
  const workers: RunningCommand[] = await Promise.all(
    files.map((path) => fleet.startWorker({ node: ['--import', RECORDER], env: { SENDS_FILE: path } })),
  );
  const items = certificates(500);
  const batch = await fleet.submit(items);
  await expectAccounted(fleet, batch, items);
  for (const worker of workers) worker.kill('SIGTERM');
  for (const worker of workers) expect(await worker.ended).toMatchObject({ code: 0 });

  // By the senders' own times, on the one clock of this host: the sandbox's event loop may stall, and then arrivals look like a burst.
  const sends = await Promise.all(files.map(async (path) => JSON.parse(await readFile(path, 'utf8')) as number[]));
  for (const own of sends) expect(own.length).toBeGreaterThan(0);
  expect(sends.flat()).toHaveLength(fleet.sandbox.seen().calls);
  expect(fleet.sandbox.seen().calls).toBe(items.length);
  expect(worstWindow(sends.flat())).toBeLessThanOrEqual(qps);
});
