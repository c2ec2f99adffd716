import { hostname } from 'node:os';
import { afterEach, expect, it, vi } from 'vitest';
import { ConcurrencyTarget } from '../../src/queue/worker/concurrency.ts';
import { certificates, expectAccounted, openFleet, type Fleet } from '../support/fleet.ts';
import { ACCOUNT_KEY } from '../support/installation.ts';

const QPS = 200;
const REFUSED = 'SignatureDoesNotMatch';

let fleet: Fleet;
afterEach(() => fleet.remove());

interface Halts {
  readonly halts: readonly { readonly account: string; readonly code: string; readonly host?: string }[];
}

async function halts(): Promise<Halts['halts']> {
  return (JSON.parse((await fleet.run(['status', '--json'])).stdout) as Halts).halts;
}

it('one host with a wrong key stops alone, while a key that is revoked stops every host', async () => {
  fleet = await openFleet({
    sandbox: { latency: { kind: 'fixed', ms: 20 } },
    // Where the machine is busy, slots have time.
    settings: { egress: { qps: QPS, raisedLimit: true }, limiter: { lateMs: 200 } },
  });
  await fleet.holdRedis();
  const items = certificates(800);
  const good = await fleet.startWorker();
  const wrong = await fleet.startWorker({ env: { FLEET_KEY_SECRET: 'another-secret' } });
  const batch = await fleet.submit(items);
  await wrong.says('"event":"halted"');
  expect(await halts()).toMatchObject([{ account: 'fleet', code: REFUSED, host: hostname() }]);
  const status = await fleet.run(['status']);
  expect(status.code).toBe(3);
  expect(status.stdout).toContain(`HALTED account fleet on ${hostname()} alone`);
  await expectAccounted(fleet, batch, items);
  expect(good.output()).not.toContain('"halted"');
  // What it had under way, and perhaps a probe.
  expect(fleet.sandbox.seen().byCode[REFUSED]).toBeLessThanOrEqual(new ConcurrencyTarget(QPS).items + 1);

  wrong.kill('SIGTERM');
  expect(await wrong.ended).toMatchObject({ code: 0 });
  await fleet.startWorker();
  const more = await fleet.submit(certificates(1_500, 2));
  await fleet.until(more, ({ revoked }) => revoked >= 150);
  const code = 'InvalidAccessKeyId.Inactive';
  fleet.sandbox.revokeKey(ACCOUNT_KEY.accessKeyId, code);
  // For all, not for one host after the other.
  await vi.waitFor(
    async () => {
      const found = await halts();
      expect(found).toMatchObject([{ account: 'fleet', code }]);
      expect(found[0]).not.toHaveProperty('host');
    },
    { timeout: 60_000, interval: 200 },
  );
  expect(fleet.sandbox.seen().byCode[code]).toBeLessThanOrEqual(2 * new ConcurrencyTarget(QPS).items + 2);
  expect(await fleet.until(more, () => true)).toMatchObject({ state: 'running', dead: 0 });
});
