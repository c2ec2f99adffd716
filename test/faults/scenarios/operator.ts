import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { hostMonotonicMs } from '../../../src/sandbox/journal.ts';
import type { Ended } from '../../support/command.ts';
import { expectNoSends } from '../../support/pace-oracle.ts';
import { progress, PROMISE, startTwo, UNHURRIED, type Scenario } from '../scenario.ts';

/** Every worker has heard of it by then; until then, calls whose slot was given may leave. */
const HEARD_WITHIN_MS = 1_025;
/** Jobs of a paused batch look again after 5 s: they must be sent away again. */
const PAUSE_MS = 7_000;

/** An operator steps in while a batch runs, or two do the same. */
export const OPERATOR: readonly Scenario[] = [
  {
    name: 'two submitters of one manifest at the same time, and a third during the run',
    promise: `${PROMISE}; one batch`,
    items: 400,
    caps: UNHURRIED.caps,
    async submit(rig, items) {
      const [batch, other] = await Promise.all([rig.submit(items), rig.submit(items)]);
      expect(other).toBe(batch);
      return batch;
    },
    async disturb(rig, batch, items) {
      await startTwo(rig);
      await progress(rig, batch, 0.9);
      expect(await rig.submit(items)).toBe(batch);
    },
  },
  {
    name: 'dead letters retried during the run',
    promise: `${PROMISE}; a retried letter has one outcome, its last`,
    items: 2_000,
    plan: { seed: 5, faults: [{ kind: 'code', code: 'ParameterCheckFailed', share: 0.02 }] },
    async disturb(rig, batch) {
      await startTwo(rig);
      const retry = (): Promise<Ended> => rig.run(['dead', 'retry', '--batch', batch, '--yes']);
      const { pending } = await rig.until(batch, ({ dead }) => dead > 5);
      expect(pending).toBeGreaterThan(0);
      expect(await retry()).toMatchObject({ code: 0 });
      await progress(rig, batch, 0);
      expect(await retry()).toMatchObject({ code: 0 });
      // Each of them is refused once.
      await rig.until(batch, ({ dead, revoked, accepted }) => dead === 0 && revoked === accepted);
    },
  },
  {
    name: 'a batch is paused and resumed while it runs',
    promise: `${PROMISE}; a second after the command no call of it leaves until it is resumed`,
    items: 2_000,
    async disturb(rig, batch) {
      await startTwo(rig);
      await progress(rig, batch, 0.75);
      await rig.run(['pause', batch]);
      const pausedMs = hostMonotonicMs();
      await delay(PAUSE_MS);
      const resumedMs = hostMonotonicMs();
      await rig.run(['resume', batch]);
      expectNoSends((await rig.pace()).senders, pausedMs + HEARD_WITHIN_MS, resumedMs);
    },
  },
];
