import { afterEach, expect, it, vi } from 'vitest';
import { ConcurrencyTarget } from '../../src/queue/worker/concurrency.ts';
import { certificates, openFleet, type Fleet } from '../support/fleet.ts';
import { ACCOUNT_KEY } from '../support/installation.ts';

let fleet: Fleet;
afterEach(() => fleet.remove());

it('a key revoked in the middle of 5,000 items costs no more calls than were in flight, and kills nothing', async () => {
  const qps = 400;
  fleet = await openFleet({
    sandbox: { latency: { kind: 'fixed', ms: 20 } },
    settings: { egress: { qps, raisedLimit: true } },
  });
  const items = certificates(5_000);
  const worker = await fleet.startWorker();
  const batch = await fleet.submit(items);
  await vi.waitFor(() => expect(fleet.sandbox.deletedCount).toBeGreaterThan(300), 60_000);
  const code = 'InvalidAccessKeyId.Inactive';
  fleet.sandbox.revokeKey(ACCOUNT_KEY.accessKeyId, code);
  await worker.says('"halted"');

  const status = await fleet.run(['status', batch]);
  expect(status.code).toBe(3);
  expect(status.stdout).toMatch(/^HALTED account fleet since \S+: InvalidAccessKeyId\.Inactive: /);
  // Though some hundred were settled in the last seconds.
  expect(status.stdout).toMatch(/^ETA +nothing moves$/m);
  expect(status.stdout).not.toMatch(/^rate /m);
  const all = await fleet.run(['status', '--json']);
  expect(all.code).toBe(3);
  const batches = [{ batch, dead: 0, etaSeconds: null }];
  expect(JSON.parse(all.stdout)).toMatchObject({ halts: [{ account: 'fleet', code }], batches });
  expect((await fleet.run(['status'])).stdout).toMatch(/ {2}nothing moves$/m);

  // No job in hand at that moment can have made more than its one call; a probe may have been due since.
  const refused = fleet.sandbox.seen().byCode[code] ?? 0;
  expect(refused).toBeGreaterThan(0);
  expect(refused).toBeLessThanOrEqual(new ConcurrencyTarget(qps).items + 1);
  const detail = await fleet.until(batch, () => true);
  expect(detail).toMatchObject({ state: 'running', dead: 0, alreadyGone: 0, revoked: fleet.sandbox.deletedCount });
  expect(detail.pending).toBe(items.length - detail.revoked);

  worker.kill('SIGTERM');
  expect(await worker.ended).toMatchObject({ code: 0 });
});
