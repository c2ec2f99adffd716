import { afterEach, expect, it, vi } from 'vitest';
import { certificates, expectAccounted, openFleet, type Fleet } from '../support/fleet.ts';

let fleet: Fleet;
afterEach(() => fleet.remove());

it('a worker starts its embedded Redis again after a kill -9, and every item ends', async () => {
  fleet = await openFleet({ sandbox: { latency: { kind: 'fixed', ms: 40 } } });
  const items = certificates(600);
  const batch = await fleet.submit(items);
  const worker = await fleet.startWorker();
  await vi.waitFor(() => expect(fleet.sandbox.deletedCount).toBeGreaterThan(150), 60_000);
  const killed = await fleet.serverPid();
  expect(fleet.sandbox.deletedCount).toBeLessThan(items.length);
  process.kill(killed ?? 0, 'SIGKILL');

  // What it has acknowledged the operating system still has, but for what waited for an fsync under way: that is called for again.
  await expectAccounted(fleet, batch, items);
  expect(fleet.sandbox.deletedCount).toBe(items.length);
  const pid = await fleet.serverPid();
  expect(pid).toBeDefined();
  expect(pid).not.toBe(killed);
  expect(worker.output()).toContain('"redis-lost"');
  worker.kill('SIGTERM');
  expect(await worker.ended).toMatchObject({ code: 0 });
});
