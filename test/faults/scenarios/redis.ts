import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { RAMP_STEPS } from '../../../src/core/batch.ts';
import { hostMonotonicMs } from '../../../src/sandbox/journal.ts';
import { expectDeletionsWithin } from '../../support/oracles.ts';
import { expectNoSends } from '../../support/pace-oracle.ts';
import type { Rig } from '../../support/rig.ts';
import { progress, PROMISE, resumeUntilDone, SLOTS_END_WITHIN_MS, startTwo, type Scenario } from '../scenario.ts';

async function restartEmpty({ server }: Rig): Promise<void> {
  process.kill(server.serverPid(), 'SIGKILL');
  await rm(join(server.dataDir, 'redis', 'appendonlydir'), { recursive: true });
  await server.restart();
}

function forgetful(name: string, forget: (rig: Rig) => Promise<unknown>): Scenario {
  return {
    name,
    promise:
      'what was deleted is of the manifest; the same manifest submitted again ends every item, those that were done as already gone',
    items: 2_000,
    isLossy: true,
    async disturb(rig, batch, items) {
      await startTwo(rig);
      await progress(rig, batch, 0.6);
      const gone = await expectDeletionsWithin(rig, items);
      await forget(rig);
      const again = await rig.submit(items);
      await expectDoneAsGone(rig, again, gone);
      return again;
    },
  };
}

/** Nothing of a batch that was submitted again is dead, and what was done before is not claimed once more. */
async function expectDoneAsGone(rig: Rig, batch: string, gone: ReadonlySet<string>): Promise<void> {
  const { dead, confirmedByAbsence } = await rig.until(batch, ({ pending }) => pending === 0);
  expect(dead).toBe(0);
  const rows = await rig.report(batch);
  const claimed = rows.filter(({ deviceSn, outcome }) => gone.has(deviceSn) && outcome !== 'already-gone');
  expect(claimed.length, 'of those, revoked by absence at most').toBeLessThanOrEqual(confirmedByAbsence);
}

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
  forgetful('Redis loses everything', (rig) => rig.direct.flushall()),
  forgetful('Redis is killed and restarted empty', restartEmpty),
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
      ['short of replicas', 'min-replicas-to-write', '1'],
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
    name: 'Redis read-only for two seconds, as the replica of nobody',
    promise: PROMISE,
    items: 2_500,
    async disturb(rig, batch) {
      await startTwo(rig);
      await progress(rig, batch, 0.75);
      // Nothing listens there, so it keeps its data.
      await rig.direct.replicaof('127.0.0.1', 1);
      await expect(rig.direct.set('any', '1')).rejects.toThrow('READONLY');
      await delay(2_000);
      await rig.direct.replicaof('NO', 'ONE');
    },
  },
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
