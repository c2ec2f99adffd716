import { afterEach, expect, it } from 'vitest';
import type { Outcome } from '../../src/core/batch.ts';
import type { FaultPlan } from '../../src/sandbox/fault-plan.ts';
import { certificates, expectAccounted, openFleet, type Fleet } from '../support/fleet.ts';

let fleet: Fleet;
afterEach(() => fleet.remove());

/** Every way to fail, each for so many devices that it certainly comes up. */
const PLAN: FaultPlan = {
  seed: 7,
  faults: [
    { kind: 'code', code: 'ParameterFieldCheckFailed', share: 0.02, times: 'always' },
    { kind: 'code', code: 'FindCaBySnError', share: 0.02, times: 'always' },
    { kind: 'code', code: 'NeverHeardOf', share: 0.02, times: 'always' },
    { kind: 'code', code: 'FindDeviceBySnError', share: 0.03, times: 'always' },
    { kind: 'code', code: 'ServiceUnavailable', share: 0.03, times: 2 },
    { kind: 'code', code: 'SignatureNonceUsed', share: 0.02 },
    { kind: 'code', code: 'SystemOverFlow', share: 0.01 },
    { kind: 'html', share: 0.02 },
    { kind: 'empty', share: 0.02 },
    { kind: 'no-code', share: 0.02 },
    { kind: 'empty-object', share: 0.02 },
    { kind: 'wrong-echo', share: 0.02 },
    { kind: 'reset-before', share: 0.02 },
    { kind: 'reset-after', share: 0.02 },
    { kind: 'slow', delayMs: 100, share: 0.02 },
    { kind: 'hang', share: 0.01 },
    { kind: 'answer-lost-after', share: 0.02 },
    { kind: 'throttle', retryAfterMs: 100, share: 0.005 },
  ],
};

it('every kind of fault in one manifest: each item ends once, and revoked is what the cloud deleted', async () => {
  fleet = await openFleet({
    sandbox: { plan: PLAN },
    // Only what hangs is to miss it: a call that a busy machine holds up would count as one more.
    settings: { callDeadlineMs: 5_000, breaker: { maxDeadShare: 1 } },
  });
  const items = certificates(500);
  await fleet.startWorker();
  const batch = await fleet.submit(items);
  const rows = await expectAccounted(fleet, batch, items);

  const { byFault } = fleet.sandbox.seen();
  expect(Object.keys(byFault).toSorted()).toEqual([...new Set(PLAN.faults.map(({ kind }) => kind))].toSorted());
  const ended = (as: Outcome) => rows.filter(({ outcome }) => outcome === as);
  expect(ended('revoked')).toHaveLength(fleet.sandbox.deletedCount);
  expect(new Set(ended('already-gone').map(({ code }) => code))).toEqual(new Set(['FindDeviceBySnError']));
  const dead = ended('dead');
  expect(new Set(dead.map(({ code }) => code))).toEqual(
    new Set(['ParameterFieldCheckFailed', 'FindCaBySnError', 'NeverHeardOf']),
  );
  const refusedAtOnce = dead.filter(({ code }) => code !== 'NeverHeardOf');
  expect(new Set(refusedAtOnce.map(({ attempts }) => attempts))).toEqual(new Set([1]));
  // More where no slot held, on a busy machine, for the read that must show that the endpoint judges calls.
  const unknown = dead.filter(({ code }) => code === 'NeverHeardOf');
  expect(Math.min(...unknown.map(({ attempts }) => attempts))).toBe(3);
  // What is dead was not deleted behind our back.
  expect(dead.filter((row) => !fleet.sandbox.has(row))).toEqual([]);
  expect(await fleet.run(['status', batch])).toMatchObject({ code: 1 });
});
