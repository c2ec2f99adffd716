import { afterEach, expect, it, vi } from 'vitest';
import { certificates, expectAccounted, openFleet, type Fleet } from '../support/fleet.ts';

let fleet: Fleet;
afterEach(() => fleet.remove());

it('the items of a killed worker are taken up within 10 s; none is lost, doubled or invented', async () => {
  fleet = await openFleet({ sandbox: { latency: { kind: 'fixed', ms: 300 } } });
  const items = certificates(600);
  const first = await fleet.startWorker();
  const batch = await fleet.submit(items);
  await vi.waitFor(() => expect(fleet.sandbox.seen().calls).toBeGreaterThan(250), 60_000);
  first.kill('SIGKILL');
  await first.ended;
  const { pending } = await fleet.until(batch, () => true);
  const called = fleet.sandbox.seen().certificates.called;
  const inFlight = called - (items.length - pending);
  expect(inFlight).toBeGreaterThan(0);

  await fleet.startWorker();
  await vi.waitFor(() => expect(fleet.sandbox.seen().certificates.calledAgain).toBeGreaterThan(0), 60_000);
  await fleet.settled(batch);
  await expectAccounted(fleet, batch, items);
  const { deletions, certificates: seen } = fleet.sandbox.seen();
  expect(deletions).toBe(items.length);
  expect(seen.called).toBe(items.length);
  // Only what was in flight is called a second time, and nothing a third time.
  expect(seen.calledAgain).toBeLessThanOrEqual(inFlight);
  expect(seen.byCalls).toEqual(seen.calledAgain === 0 ? {} : { 2: seen.calledAgain });
  const { confirmedByAbsence } = await fleet.settled(batch);
  expect(confirmedByAbsence).toBe(seen.calledAgain);
});
