import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { RAMP_STEPS } from '../../../src/core/batch.ts';
import { hostMonotonicMs } from '../../../src/sandbox/journal.ts';
import { expectDeletionsWithin } from '../../support/oracles.ts';
import { expectNoSends } from '../../support/pace-oracle.ts';
import { progress, PROMISE, resumeUntilDone, SLOTS_END_WITHIN_MS, startTwo, type Scenario } from '../scenario.ts';

/** Redis fails, forgets, refuses, or is far away. */
export const REDIS: readonly Scenario[] = [
  {
    name: 'kill -9 of Redis, restarted on its append-only file (always)',
    promise: PROMISE,
    items: 2_500,
    async disturb(rig, batch) {
      await startTwo(rig);
      for (const share of [0.8, 0.4]) {
        await progress(rig, batch, share);
        process.kill(rig.server.serverPid(), 'SIGKILL');
        await rig.server.restart();
      }
    },
  },
  {
    name: 'Redis loses everything',
    promise:
      'what was deleted is of the manifest; the same manifest submitted again ends every item, those that were done as already gone',
    items: 2_000,
    isLossy: true,
    async disturb(rig, batch, items) {
      await startTwo(rig);
      await progress(rig, batch, 0.6);
      const gone = await expectDeletionsWithin(rig, items);
      await rig.direct.flushall();
      const again = await rig.submit(items);
      const { dead, confirmedByAbsence } = await rig.until(again, ({ pending }) => pending === 0);
      expect(dead).toBe(0);
      const rows = await rig.report(again);
      const claimed = rows.filter(({ deviceSn, outcome }) => gone.has(deviceSn) && outcome !== 'already-gone');
      expect(claimed.length, 'of those that were done, revoked by absence at most').toBeLessThanOrEqual(
        confirmedByAbsence,
      );
      return again;
    },
  },
  {
    name: 'notFound: dead, and Redis loses everything',
    promise:
      'as above, but those that were done end dead, and so many of them pause the batch: at once, and again when it is resumed',
    items: 600,
    isLossy: true,
    async disturb(rig, batch, items) {
      await startTwo(rig, { settings: { notFound: 'dead' } });
      await progress(rig, batch, 0.6);
      await rig.direct.flushall();
      const again = await rig.submit(items);
      const [firstStep] = RAMP_STEPS;
      const paused = await rig.until(again, ({ state }) => state === 'paused');
      expect(paused).toMatchObject({ dead: firstStep, revoked: 0, pending: items.length - (firstStep ?? 0) });
      // Nothing else of it was called for: what is gone by now was deleted before.
      const gone = await expectDeletionsWithin(rig, items);
      expect(await resumeUntilDone(rig, again), 'pauses of the resumed batch').toBeGreaterThan(1);
      const dead = (await rig.report(again)).filter(({ outcome }) => outcome === 'dead');
      expect(new Set(dead.map(({ deviceSn }) => deviceSn))).toEqual(gone);
      expect(new Set(dead.map(({ code }) => code))).toEqual(new Set(['FindDeviceBySnError']));
      return again;
    },
  },
  ...(
    [
      ['read-only', 'min-replicas-to-write', '1'],
      ['out of memory', 'maxmemory', '1mb'],
    ] as const
  ).map(([what, setting, refusing]): Scenario => ({
    name: `Redis ${what} for two seconds`,
    promise: PROMISE,
    items: 2_500,
    async disturb(rig, batch) {
      await startTwo(rig);
      await progress(rig, batch, 0.75);
      await rig.direct.config('SET', setting, refusing);
      await delay(2_000);
      await rig.direct.config('SET', setting, '0');
    },
  })),
  {
    name: 'a Redis that is 40 ms away',
    promise: `${PROMISE}; with the default lateMs of 25 no slot comes in time, so the worker waits; near again, it goes on`,
    items: 1_500,
    async disturb(rig, batch) {
      await startTwo(rig);
      await progress(rig, batch, 0.67);
      rig.proxy.delayMs = 40;
      const fromMs = hostMonotonicMs() + SLOTS_END_WITHIN_MS;
      await delay(3_000);
      expectNoSends((await rig.pace()).senders, fromMs, hostMonotonicMs());
      rig.proxy.delayMs = 2;
    },
  },
  {
    name: 'connections to Redis cut again and again, then swallowed for a while',
    promise: PROMISE,
    items: 2_500,
    async disturb(rig, batch) {
      await startTwo(rig);
      for (const share of [0.9, 0.7, 0.5]) {
        await progress(rig, batch, share);
        rig.proxy.cut();
      }
      rig.proxy.swallow = true;
      await delay(3_000);
      rig.proxy.swallow = false;
      // What was swallowed is not sent again on these connections.
      rig.proxy.cut();
    },
  },
  {
    name: 'Redis unreachable for longer than the lock',
    promise: `${PROMISE}; no slots, no calls; every job in hand runs again`,
    items: 2_000,
    async disturb(rig, batch) {
      await startTwo(rig);
      await progress(rig, batch, 0.75);
      rig.proxy.down = true;
      const fromMs = hostMonotonicMs() + SLOTS_END_WITHIN_MS;
      await delay(8_000);
      expectNoSends((await rig.pace()).senders, fromMs, hostMonotonicMs());
      rig.proxy.down = false;
    },
  },
];
