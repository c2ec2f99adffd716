import { afterEach, expect, it } from 'vitest';
import { worstWindow } from '../../src/core/pace.ts';
import type { RunningCommand } from '../support/command.ts';
import { certificates, expectAccounted, openFleet, type Fleet } from '../support/fleet.ts';
import { recordSends } from '../support/recorded-sends.ts';

let fleet: Fleet;
afterEach(() => fleet.remove());

it('two workers on one egress never send more than its pace in any sliding second', async () => {
  const qps = 100;
  fleet = await openFleet({ sandbox: { latency: { kind: 'fixed', ms: 20 } }, settings: { egress: { qps } } });
  const records = ['sends-1', 'sends-2'].map((name) => recordSends(fleet.folder, name));
  const workers: RunningCommand[] = await Promise.all(records.map(({ options }) => fleet.startWorker(options)));
  const items = certificates(500);
  const batch = await fleet.submit(items);
  await expectAccounted(fleet, batch, items);
  for (const worker of workers) worker.kill('SIGTERM');
  for (const worker of workers) expect(await worker.ended).toMatchObject({ code: 0 });

  const sends = await Promise.all(records.map(({ times }) => times()));
  for (const own of sends) expect(own.length).toBeGreaterThan(0);
  expect(sends.flat()).toHaveLength(fleet.sandbox.seen().calls);
  expect(fleet.sandbox.seen().calls).toBe(items.length);
  expect(worstWindow(sends.flat())).toBeLessThanOrEqual(qps);
});
