import { afterEach, expect, it, vi } from 'vitest';
import type { BatchStatus } from '../../src/app/overview.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import { certificates, manifestOf, openFleet, type Fleet } from '../support/fleet.ts';
import { INSTANCE } from '../support/installation.ts';

let fleet: Fleet;
afterEach(() => fleet.remove());

const ITEMS = certificates(300);
/** Marked before anybody asks for it, and not there at all. */
const [INACTIVE, ABSENT] = [new Set([20, 21, 22]), new Set([30, 31])];
const REGISTRY = ITEMS.flatMap((certificate, n) => {
  if (ABSENT.has(n)) return [];
  return [{ ...certificate, state: INACTIVE.has(n) ? ('inactive' as const) : ('active' as const) }];
});

/** What the cloud has, by status. */
function registered(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const line of fleet.sandbox.registryLines()) {
    const { deviceSn, status = '' } = JSON.parse(line) as { deviceSn?: string; status?: string };
    if (deviceSn !== undefined) counts[status] = (counts[status] ?? 0) + 1;
  }
  return counts;
}

it('a killed worker leaves an inactivation to the next: each item once, none deleted, and activating undoes it', async () => {
  fleet = await openFleet({
    sandbox: { registry: REGISTRY, inactiveAgainCode: 'DeviceStateConflict', latency: { kind: 'fixed', ms: 200 } },
    // Where the machine is busy, slots have time.
    settings: { breaker: { maxDeadShare: 1 }, limiter: { lateMs: 200 } },
  });
  const manifest = await fleet.file('manifest.csv', manifestOf(ITEMS));
  const first = await fleet.startWorker();
  const asked = await fleet.run(['submit', manifest, '--action', 'inactivate']);
  expect(asked.stderr).toContain('300 certificates accepted to inactivate');
  expect(asked.stderr).toContain('To inactivate them');
  const batch = await fleet.submit(ITEMS, '--action', 'inactivate');
  await vi.waitFor(() => expect(fleet.sandbox.seen().calls).toBeGreaterThan(150), 60_000);
  first.kill('SIGKILL');
  await first.ended;
  expect((await fleet.until(batch, () => true)).pending).toBeGreaterThan(0);
  await fleet.startWorker();
  await fleet.settled(batch, 90_000);

  const rows = (await fleet.report(batch)).toSorted((a, b) => a.ordinal - b.ordinal);
  expect(rows.map(({ deviceSn }) => deviceSn)).toEqual(ITEMS.map(({ deviceSn }) => deviceSn));
  const ends = new Map(rows.map(({ ordinal, outcome }) => [ordinal, outcome]));
  // What had been called for when the worker was killed may count as done by us.
  for (const n of INACTIVE) expect(['already-inactive', 'inactivated']).toContain(ends.get(n));
  for (const n of ABSENT) expect(ends.get(n)).toBe('dead');
  const others = rows.filter(({ ordinal }) => !INACTIVE.has(ordinal) && !ABSENT.has(ordinal));
  expect(new Set(others.map(({ outcome }) => outcome))).toEqual(new Set(['inactivated']));
  expect(fleet.sandbox.seen().byOperation['DeleteDeviceCertificate']).toBeUndefined();
  expect(registered()).toEqual({ inactive: 298 });

  const { stdout, code } = await fleet.run(['status', batch, '--json']);
  const status = JSON.parse(stdout) as BatchStatus;
  expect(code).toBe(1);
  expect(status).toMatchObject({
    action: 'inactivate',
    state: 'completed',
    accepted: 300,
    revoked: 0,
    dead: 2,
    pending: 0,
  });
  expect((status.inactivated ?? 0) + (status.alreadyInactive ?? 0)).toBe(298);
  expect((await fleet.run(['status', batch])).stdout).toMatch(/^action +inactivate$/m);
  const report = await fleet.run(['report', batch]);
  expect(report.stdout.split('\n')[0]).toMatch(/,settledAt,action$/);

  // What comes back is found, and what is inactive is not.
  expect(await fleet.run(['verify', batch])).toMatchObject({ code: 0, stdout: '' });
  const [{ instanceId, caSn, deviceSn }] = ITEMS as [Certificate];
  fleet.sandbox.register({ instanceId, caSn, deviceSn, state: 'active' });
  const verified = await fleet.run(['verify', batch, '--json']);
  expect(verified.code).toBe(1);
  expect(JSON.parse(verified.stdout)).toMatchObject({
    remaining: [{ instanceId: INSTANCE, deviceSn, status: 'active' }],
  });

  const back = await fleet.submit(
    ITEMS.filter((_, n) => !ABSENT.has(n)),
    '--action',
    'activate',
  );
  const { activated, alreadyActive, dead } = await fleet.settled(back, 60_000);
  expect({ activated, alreadyActive, dead }).toEqual({ activated: 297, alreadyActive: 1, dead: 0 });
  expect(registered()).toEqual({ active: 298 });
}, 180_000);
