import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import type { BatchDetail } from '../../src/app/overview.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import type { DeadLetterOf } from '../../src/ledger/dead-letters.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { KEY_PREFIX } from '../../src/queue/contract.ts';
import { certificates, expectAccounted, openFleet, type Fleet } from '../support/fleet.ts';
import { readFormer, restore, type FormerInstallation } from '../support/former-installation.ts';
import { INSTANCE } from '../support/installation.ts';

/** As test/fixtures/make-installation.mjs made them. */
const MAIN = certificates(400, 1);
const PAUSED = certificates(120, 2);
const DIRECT = certificates(36, 3);
const ALL = [...MAIN, ...PAUSED, ...DIRECT];
/** Each time it is called for. Of the first a job stood, which knew of its death; the second was retried when nobody worked. */
const DEADLY = { ParameterFieldCheckFailed: 5, FindCaBySnError: 7 } as const;
/** Locks must run out, and retries wait; the machine may be busy. */
const WITHIN_MS = 120_000;
/** Where a feeder was that had handed over all others without noting it. */
const NOTED = 100;

interface Place {
  readonly fleet: Fleet;
  readonly redis: Redis;
  /** How often each certificate was called for. */
  readonly called: Map<string, number>;
}

/** An installation of this version on what the older one left, with a cloud in which only that is gone. */
async function openOn(former: FormerInstallation, atEnd: (close: () => Promise<void>) => void): Promise<Place> {
  const called = new Map<string, number>();
  const gone = new Set(former.deleted);
  const faults = Object.entries(DEADLY).map(([code, n]) => {
    return { kind: 'code' as const, code, times: 'always' as const, deviceSns: [MAIN[n]?.deviceSn ?? ''] };
  });
  const fleet = await openFleet({
    sandbox: {
      registry: ALL.filter(({ deviceSn }) => !gone.has(deviceSn)),
      plan: { seed: 1, faults },
      journal: ({ deviceSn }) => called.set(deviceSn, (called.get(deviceSn) ?? 0) + 1),
    },
    // Where the machine is busy, slots have time.
    settings: { breaker: { maxDeadShare: 1 }, limiter: { lateMs: 200 } },
  });
  atEnd(() => fleet.remove());
  await fleet.holdRedis();
  const redis = await fleet.redis();
  await restore(former, redis);
  return { fleet, redis, called };
}

/** As if the old feeder had died between making jobs and noting that it had. */
async function forgetFed(redis: Redis, batch: string): Promise<void> {
  const { cursors, record } = new Ledger(redis, KEY_PREFIX).keys.of(batch);
  await redis.hset(cursors, INSTANCE, NOTED);
  await redis.hset(record, 'fed', NOTED);
}

/** Also those that no worker had seen. */
function directSettled(fleet: Fleet): Promise<BatchDetail> {
  const isDone = ({ pending, accepted }: BatchDetail): boolean => pending === 0 && accepted > DIRECT.length;
  return fleet.until('direct-fleet', isDone, WITHIN_MS);
}

async function letters(fleet: Fleet, batch: string): Promise<DeadLetterOf[]> {
  const { stdout } = await fleet.run(['dead', 'list', '--batch', batch, '--json']);
  const lines = stdout.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as DeadLetterOf);
}

// The cases of a layout run at once: most of their time they wait for locks to run out.
describe.each([1, 2] as const)('what a killed worker left with layout %i', { timeout: 240_000 }, (layout) => {
  it.concurrent.for([
    ['and its feeder had noted what it did', false],
    ['and its feeder died before it noted what it did', true],
  ] as const)(
    'is finished: each item once, and nothing of ours as already gone, %s',
    async ([, isUnnoted], context) => {
      const former = await readFormer(layout);
      const { fleet, redis, called } = await openOn(former, context.onTestFinished);
      const { main, paused } = former.batches;
      if (isUnnoted) await forgetFed(redis, main);
      const before = await fleet.until(main, () => true);
      expect(before).toMatchObject({ state: 'running', dead: 0 });
      expect(before.pending).toBeGreaterThan(100);
      await fleet.startWorker();

      await fleet.settled(main, WITHIN_MS);
      const rows = await expectAccounted(fleet, main, MAIN);
      const dead = rows.filter(({ outcome }) => outcome === 'dead').map(({ ordinal }) => ordinal);
      expect(dead).toEqual(Object.values(DEADLY));
      expect(rows.filter(({ outcome }) => outcome !== 'dead' && outcome !== 'revoked')).toEqual([]);
      const history = (await letters(fleet, main)).map(({ n, code, calls, history: past }) => {
        return { n, code, calls, past: past.map((death) => ({ code: death.code, calls: death.calls })) };
      });
      const expected = Object.entries(DEADLY).map(([code, n]) => ({ n, code, calls: 1, past: [{ code, calls: 1 }] }));
      expect(history.toSorted((a, b) => a.n - b.n)).toEqual(expected);

      const direct = await directSettled(fleet);
      // And one whose job named no certificate.
      expect(direct).toMatchObject({ accepted: DIRECT.length + 1, revoked: DIRECT.length, alreadyGone: 0, dead: 1 });
      const adopted = (await fleet.report('direct-fleet')).filter(({ outcome }) => outcome === 'revoked');
      expect(adopted.map(({ deviceSn }) => deviceSn).toSorted()).toEqual(snsOf(DIRECT));

      expect(await fleet.until(paused, () => true)).toMatchObject({ state: 'paused' });
      expect(PAUSED.filter(({ deviceSn }) => called.has(deviceSn))).toEqual([]);
      expect(await fleet.run(['resume', paused])).toMatchObject({ code: 0 });
      await fleet.settled(paused, WITHIN_MS);
      const resumed = await expectAccounted(fleet, paused, PAUSED);
      expect(resumed.filter(({ outcome }) => outcome !== 'revoked')).toEqual([]);

      // What the cloud still had was called for once.
      const gone = new Set(former.deleted);
      const deadly = new Set(Object.values(DEADLY).map((n) => MAIN[n]?.deviceSn));
      const rest = ALL.filter(({ deviceSn }) => !gone.has(deviceSn) && !deadly.has(deviceSn));
      expect(rest.filter(({ deviceSn }) => called.get(deviceSn) !== 1)).toEqual([]);
      expect(fleet.sandbox.deletedCount).toBe(rest.length);
    },
  );

  it.concurrent('continues while the direct batch is paused, which waits', async ({ onTestFinished }) => {
    const former = await readFormer(layout);
    const { fleet, called } = await openOn(former, onTestFinished);
    expect(await fleet.run(['pause', 'direct-fleet'])).toMatchObject({ code: 0 });
    await fleet.startWorker();
    await fleet.settled(former.batches.main, WITHIN_MS);
    await expectAccounted(fleet, former.batches.main, MAIN);
    expect(DIRECT.filter(({ deviceSn }) => called.has(deviceSn))).toEqual([]);
    expect(await fleet.run(['resume', 'direct-fleet'])).toMatchObject({ code: 0 });
    const direct = await directSettled(fleet);
    expect(direct).toMatchObject({ revoked: DIRECT.length, alreadyGone: 0, dead: 1 });
  });

  it.concurrent('that is cancelled ends, and what was called for is told as what became of it', async ({
    onTestFinished,
  }) => {
    const former = await readFormer(layout);
    const { fleet, called } = await openOn(former, onTestFinished);
    const { main } = former.batches;
    expect(await fleet.run(['cancel', main])).toMatchObject({ code: 0 });
    await fleet.startWorker();
    await fleet.settled(main, WITHIN_MS);
    const rows = await expectAccounted(fleet, main, MAIN);
    const outcomeOf = new Map(rows.map(({ deviceSn, outcome }) => [deviceSn, outcome]));
    const gone = MAIN.filter(({ deviceSn }) => former.deleted.includes(deviceSn));
    expect(gone.filter(({ deviceSn }) => outcomeOf.get(deviceSn) !== 'revoked')).toEqual([]);
    const cancelled = rows.filter(({ outcome }) => outcome === 'cancelled');
    expect(cancelled.length).toBeGreaterThan(100);
    expect(cancelled.filter((row) => called.has(row.deviceSn) || !fleet.sandbox.has(row))).toEqual([]);
  });
});

function snsOf(items: readonly Certificate[]): string[] {
  return items.map(({ deviceSn }) => deviceSn).toSorted();
}
