import { expect } from 'vitest';
import type { Fault } from '../../../src/sandbox/fault-plan.ts';
import { PASSING_CODES } from '../codes.ts';
import { progress, PROMISE, resumeUntilDone, startTwo, type Scenario } from '../scenario.ts';

/** Each way in which the endpoint can answer badly and yet not stop anything, met by some of the devices. */
export const EVERY_ANSWER: readonly Fault[] = [
  ...PASSING_CODES,
  { kind: 'code', code: 'NeverHeardOf', share: 0.005, times: 'always' },
  { kind: 'code', code: 'ServiceUnavailable', share: 0.02, times: 2 },
  { kind: 'html', share: 0.02 },
  { kind: 'empty', share: 0.02 },
  { kind: 'no-code', share: 0.02 },
  { kind: 'empty-object', share: 0.02 },
  { kind: 'wrong-echo', share: 0.02 },
  { kind: 'reset-before', share: 0.02 },
  { kind: 'reset-after', share: 0.02 },
  { kind: 'answer-lost-after', share: 0.02 },
  { kind: 'throttle', share: 0.003, retryAfterMs: 300 },
];

/** The endpoint answers badly or not at all. */
export const ENDPOINT: readonly Scenario[] = [
  {
    name: 'every bad answer of the table, lost answers, HTML, resets, throttling',
    promise: PROMISE,
    items: 2_000,
    plan: { seed: 7, faults: [...EVERY_ANSWER] },
    async disturb(rig, batch) {
      await startTwo(rig);
      // Some of these faults are many, and by design a batch with many dead items pauses itself.
      await resumeUntilDone(rig, batch);
      const heard = new Set((await rig.calls()).map(({ code }) => code));
      expect(PASSING_CODES.map(({ code }) => code).filter((code) => !heard.has(code))).toEqual([]);
    },
  },
  {
    name: 'an endpoint that accepts and never answers',
    promise: `${PROMISE}; each such call ends at its deadline`,
    items: 1_000,
    plan: { seed: 3, faults: [{ kind: 'hang', share: 0.03 }] },
    async disturb(rig) {
      await startTwo(rig, { settings: { callDeadlineMs: 1_000 } });
    },
  },
  {
    name: 'an endpoint that answers reads and fails deletions for longer than the tries last',
    promise: `${PROMISE}; the batch pauses itself, and with resume and dead retry all of it is revoked`,
    items: 2_000,
    async disturb(rig, batch) {
      await startTwo(rig, { settings: { retry: { attempts: 3, baseMs: 100, capMs: 200 } } });
      await progress(rig, batch, 0.7);
      await rig.control('plan', { seed: 1, faults: [{ kind: 'reset-before', times: 'always' }] });
      const { dead } = await rig.until(batch, ({ state }) => state === 'paused');
      expect(dead).toBeGreaterThan(0);
      await rig.control('plan', { seed: 1, faults: [] });
      await rig.run(['dead', 'retry', '--batch', batch, '--yes']);
      await rig.run(['resume', batch]);
      const { revoked, accepted } = await rig.until(batch, ({ pending }) => pending === 0);
      expect(revoked).toBe(accepted);
    },
  },
];
