import { afterEach, expect, it, vi } from 'vitest';
import { Ledger } from '../../../src/ledger/ledger.ts';
import { KEY_PREFIX } from '../../../src/queue/contract.ts';
import type { RunningCommand } from '../../support/command.ts';
import { certificates, openFleet, type Fleet } from '../../support/fleet.ts';
import { INSTANCE } from '../../support/installation.ts';

let fleet: Fleet;
afterEach(() => fleet.remove());

const ITEMS = certificates(250);
/** Activated by an operator during the soak. */
const KEPT = 7;

const callsOf = (operation: string): number => fleet.sandbox.seen().byOperation[operation] ?? 0;

/** Once the cloud has had so many more calls of the operation. */
async function killAfter(worker: RunningCommand, operation: string, more: number): Promise<void> {
  const from = callsOf(operation);
  await vi.waitFor(() => expect(callsOf(operation)).toBeGreaterThan(from + more), { timeout: 60_000, interval: 5 });
  worker.kill('SIGKILL');
  await worker.ended;
}

/** What the cloud has, by status. */
function registered(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const line of fleet.sandbox.registryLines()) {
    const { deviceSn, status = '' } = JSON.parse(line) as { deviceSn?: string; status?: string };
    if (deviceSn !== undefined) counts[status] = (counts[status] ?? 0) + 1;
  }
  return counts;
}

it('killed in every phase, a retirement ends each item once, and its undo leaves none half done', async () => {
  fleet = await openFleet({
    sandbox: {
      registry: ITEMS.map((item) => ({ ...item, state: 'active' as const, validEndMs: Date.now() + 86_400_000 })),
      inactiveAgainCode: 'DeviceStateConflict',
      latency: { kind: 'fixed', ms: 200 },
    },
    // Where the machine is busy, slots have time.
    settings: { breaker: { maxDeadShare: 1 }, limiter: { lateMs: 200 } },
  });
  const soaks = { phase: 'soaking', state: 'running', pending: 250, inactivated: 0, revoked: 0 } as const;

  // Under an active CA: killed while it inactivates, and while it looks again.
  let worker = await fleet.startWorker();
  const ledger = new Ledger(await fleet.redis(), KEY_PREFIX);
  const endSoak = (id: string): Promise<number> => ledger.redis.hset(ledger.keys.of(id).record, 'soakUntil', 1);
  const first = await fleet.submit(ITEMS, '--action', 'retire', '--soak', '1h');
  await killAfter(worker, 'InactivateDeviceCertificate', 120);
  expect((await fleet.until(first, () => true)).pending).toBe(250);
  worker = await fleet.startWorker();
  expect(await fleet.until(first, ({ phase }) => phase === 'soaking', 90_000)).toMatchObject(soaks);
  expect((await fleet.run(['status', first])).stdout).toMatch(/^phase +soaking\nretires +soak 1h\nsoaks until +20/m);
  expect(await fleet.run(['undo', first])).toMatchObject({ code: 3, stdout: '' });
  worker.kill('SIGKILL');
  await worker.ended;
  await endSoak(first);
  worker = await fleet.startWorker();
  await killAfter(worker, 'GetDeviceCertificate', 120);
  worker = await fleet.startWorker();
  expect(await fleet.settled(first, 90_000)).toMatchObject({ inactivated: 250, revoked: 0, dead: 0 });
  expect(callsOf('DeleteDeviceCertificate')).toBe(0);
  expect(registered()).toEqual({ inactive: 250 });
  expect((await fleet.run(['status', first])).stdout).toContain('they were not deleted');

  // Its undo, killed as well.
  const asked = await fleet.run(['undo', first, '--json']);
  expect(JSON.parse(asked.stdout)).toMatchObject({ batch: null, accepted: 250, deleted: 0, keptActive: 0 });
  expect((await fleet.run(['undo', first, '--execute', '--confirm', '249'])).code).toBe(3);
  const undone = await fleet.run(['undo', first, '--execute', '--confirm', '250', '--json', '--reason', 'wrong list']);
  const { batch: undo = '' } = JSON.parse(undone.stdout) as { batch?: string };
  await killAfter(worker, 'ActiveDeviceCertificate', 120);
  worker = await fleet.startWorker();
  const back = await fleet.settled(undo, 90_000);
  expect(back).toMatchObject({ action: 'activate', reason: `wrong list (undoes ${first})`, dead: 0 });
  expect((back.activated ?? 0) + (back.alreadyActive ?? 0)).toBe(250);
  expect(registered()).toEqual({ active: 250 });

  // Again, and its CA is inactivated: killed while it deletes.
  const second = await fleet.submit(ITEMS, '--action', 'retire', '--soak', '1h');
  await fleet.until(second, ({ phase }) => phase === 'soaking', 90_000);
  worker.kill('SIGKILL');
  await worker.ended;
  const ca = await fleet.run(['ca', 'inactivate', INSTANCE, 'CA01', '--execute', '--yes']);
  expect(ca).toMatchObject({ code: 0 });
  const kept = ITEMS[KEPT];
  if (kept !== undefined) fleet.sandbox.register({ ...kept, state: 'active' });
  await endSoak(second);
  worker = await fleet.startWorker();
  await killAfter(worker, 'DeleteDeviceCertificate', 100);
  await fleet.startWorker();
  const { revoked, alreadyGone, keptActive, dead } = await fleet.settled(second, 90_000);
  expect({ gone: revoked + alreadyGone, keptActive, dead }).toEqual({ gone: 249, keptActive: 1, dead: 0 });
  expect(registered()).toEqual({ active: 1 });
  const rows = (await fleet.report(second)).toSorted((a, b) => a.ordinal - b.ordinal);
  expect(rows.map(({ deviceSn }) => deviceSn)).toEqual(ITEMS.map(({ deviceSn }) => deviceSn));
  expect(rows[KEPT]?.outcome).toBe('kept-active');
  const nothing = await fleet.run(['undo', second, '--execute', '--yes']);
  expect(nothing).toMatchObject({ code: 3, stdout: '' });
  expect((await fleet.run(['undo', second])).stderr).toContain('249 certificates of the batch are deleted');
}, 300_000);
