import { afterEach, describe, expect, it, vi } from 'vitest';
import { AccountQueues } from '../../src/queue/queues.ts';
import { KEY_PREFIX } from '../../src/queue/contract.ts';
import { certificates, expectAccounted, openFleet, type Fleet } from '../support/fleet.ts';
import { openInstallation, settingsOf } from '../support/installation.ts';
import { startRedisProxy } from '../support/redis-proxy.ts';
import { startTestRedis } from '../support/redis.ts';

describe('a worker that is told to leave', () => {
  let fleet: Fleet;
  afterEach(() => fleet.remove());

  it('finishes its calls on SIGTERM and gives back the rest, which another worker does', async () => {
    // So slow that most jobs in hand wait for a slot.
    fleet = await openFleet({
      sandbox: { latency: { kind: 'fixed', ms: 300 } },
      settings: { egress: { qps: 200 } },
    });
    const items = certificates(500);
    const first = await fleet.startWorker();
    const batch = await fleet.submit(items);
    await vi.waitFor(() => expect(fleet.sandbox.seen().calls).toBeGreaterThan(180), 60_000);
    // From here on this test uses the Redis too, so the worker leaves it running.
    const queue = new AccountQueues(await fleet.redis(), KEY_PREFIX, 'fleet');
    first.kill('SIGTERM');
    expect(await first.ended).toMatchObject({ code: 0, signal: null, stdout: '' });

    const { pending } = await fleet.until(batch, () => true);
    expect(pending).toBeGreaterThan(0);
    // Every call that was made is settled, and no job is left in the hands of the one that left.
    expect(fleet.sandbox.seen().calls).toBe(items.length - pending);
    expect(await queue.backlog()).toMatchObject({ active: 0, failed: 0 });
    await queue.close();

    await fleet.startWorker();
    await expectAccounted(fleet, batch, items);
    expect(fleet.sandbox.seen()).toMatchObject({ calls: items.length, deletions: items.length });
  });

  it.each([
    ['SIGINT', 130],
    ['SIGHUP', 0],
  ] as const)('drains on %s too, and ends with %i', async (signal, code) => {
    fleet = await openFleet();
    const worker = await fleet.startWorker();
    worker.kill(signal);
    expect(await worker.ended).toMatchObject({ code, signal: null, stdout: '' });
    expect(worker.output()).toContain('"worker-stopped"');
  });

  it('leaves at once on a second signal, whatever is under way; its items are done all the same', async () => {
    fleet = await openFleet({ sandbox: { plan: { seed: 1, faults: [{ kind: 'hang' }] } } });
    const items = certificates(5);
    const worker = await fleet.startWorker();
    const batch = await fleet.submit(items);
    await vi.waitFor(() => expect(fleet.sandbox.seen().calls).toBe(items.length), 60_000);
    worker.kill('SIGTERM');
    await worker.says('"worker-stopping"');
    worker.kill('SIGTERM');
    expect(await worker.ended).toMatchObject({ code: 143, signal: null });
    // It did not wait for the calls: they hang until their deadline.
    expect(worker.output()).not.toContain('"worker-stopped"');

    await fleet.startWorker();
    await expectAccounted(fleet, batch, items);
    expect(fleet.sandbox.deletedCount).toBe(items.length);
  });
});

/** Ten seconds are promised; the machine may be busy. */
const LEAVES_WITHIN_MS = 15_000;

describe.concurrent('a worker that is told to leave while its Redis does not answer', () => {
  it('is gone in time where Redis hangs, and what it had in hand is done by another', async () => {
    const own = await openFleet({
      sandbox: { latency: { kind: 'fixed', ms: 300 } },
      settings: { egress: { qps: 200 } },
    });
    try {
      const items = certificates(100);
      const worker = await own.startWorker();
      const batch = await own.submit(items);
      await vi.waitFor(() => expect(own.sandbox.seen().calls).toBeGreaterThan(20), 60_000);
      const server = (await own.serverPid()) ?? 0;
      process.kill(server, 'SIGSTOP');
      const toldMs = performance.now();
      worker.kill('SIGTERM');
      const ended = await worker.ended;
      process.kill(server, 'SIGCONT');
      expect(performance.now() - toldMs).toBeLessThan(LEAVES_WITHIN_MS);
      expect(ended).toMatchObject({ code: 0, signal: null });
      await own.startWorker();
      await expectAccounted(own, batch, items);
      expect(own.sandbox.deletedCount).toBe(items.length);
    } finally {
      await own.remove();
    }
  });

  it('is gone in time where Redis is away, with the exit code of its signal', async () => {
    const server = await startTestRedis();
    const { path = '', password = '' } = server.options;
    const proxy = await startRedisProxy(path);
    const url = `redis://:${password}@127.0.0.1:${proxy.port}`;
    const place = await openInstallation(settingsOf(undefined, { redis: { url } }));
    try {
      const worker = place.start(['worker']);
      await worker.says('"worker-started"');
      proxy.down = true;
      const toldMs = performance.now();
      worker.kill('SIGINT');
      expect(await worker.ended).toMatchObject({ code: 130, signal: null, stdout: '' });
      expect(performance.now() - toldMs).toBeLessThan(LEAVES_WITHIN_MS);
    } finally {
      await place.remove();
      await proxy.close();
      await server.stop();
    }
  });
});
