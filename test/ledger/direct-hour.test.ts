import { afterAll, expect, it } from 'vitest';
import { directBatchOf, HourlyLimitReached } from '../../src/ledger/direct-items.ts';
import { certificatesOf, LedgerRoom } from './ledger-room.ts';

const room = new LedgerRoom();
afterAll(() => room.cleanup());

const MINUTE_MS = 60_000;
let adopted = 0;

/** @returns whether it was taken in */
async function take(batch: string, maxPerHour: number): Promise<boolean> {
  const [item] = certificatesOf(1);
  adopted += 1;
  if (item === undefined) throw new Error('there is no item');
  return room.ledger.direct.adopt(batch, `job-${adopted}`, item, { maxPerHour }).then(
    () => true,
    (error: unknown) => {
      if (error instanceof HourlyLimitReached) return false;
      throw error;
    },
  );
}

async function takenAt(batch: string, minutesAgo: number, count: number): Promise<void> {
  const [seconds = 0] = await room.redis.time();
  const minute = Math.floor((seconds * 1_000) / MINUTE_MS) - minutesAgo;
  await room.redis.hset(room.ledger.keys.of(batch).record, 'taken', JSON.stringify([[minute, count]]));
}

it('takes in as many within an hour as it may, and pauses at the next one', async () => {
  const batch = directBatchOf('hourly');
  const signals = Number((await room.redis.get(room.ledger.keys.signals)) ?? 0);
  const taken = [];
  for (let at = 0; at < 5; at += 1) taken.push(await take(batch, 3));
  expect(taken).toEqual([true, true, true, false, false]);
  const paused = await room.batch(batch);
  expect(paused).toMatchObject({ state: 'paused', counts: { accepted: 3 } });
  expect(paused.pausedBecause).toContain(`3 certificates within an hour`);
  expect(paused.pausedBecause).toContain(`certsweep resume ${batch}`);
  const onRecord = (await room.redis.xrange(room.ledger.keys.audit.stream, '-', '+')).map(
    ([, [, entry = '']]) => JSON.parse(entry) as { event: string; batch: string; counts: object },
  );
  expect(onRecord).toMatchObject([{ event: 'limit-pause', batch, counts: { accepted: 3 } }]);
  // Every process hears of it.
  expect(Number(await room.redis.get(room.ledger.keys.signals))).toBe(signals + 1);
  // A new hour.
  expect(await room.ledger.batches.change(batch, 'resume')).toMatchObject({ kind: 'changed' });
  expect([await take(batch, 3), (await room.batch(batch)).state]).toEqual([true, 'running']);
});

it('says only to the one that paused it that it did, and takes what it knows already all the same', async () => {
  const batch = directBatchOf('once');
  const [first, second] = certificatesOf(2);
  if (first === undefined || second === undefined) throw new Error('there are no items');
  const rules = { maxPerHour: 1 };
  const known = await room.ledger.direct.adopt(batch, 'a', first, rules);
  const refusals = [];
  for (let at = 0; at < 2; at += 1) {
    refusals.push(await room.ledger.direct.adopt(batch, 'b', second, rules).catch((error: unknown) => error));
  }
  expect(refusals).toMatchObject([{ hasPaused: true }, { hasPaused: false }]);
  expect(await room.ledger.direct.adopt(batch, 'a', first, rules)).toEqual({ ...known, isNew: false });
});

it('counts the last hour, whichever way the clock went', async () => {
  const batch = directBatchOf('sliding');
  expect(await take(batch, 2)).toBe(true);
  for (const [minutesAgo, isTaken] of [
    [59, false],
    [60, false],
    [61, true],
    [-5, false],
    [-61, true],
  ] as const) {
    await takenAt(batch, minutesAgo, 2);
    // Not by a resume, which would begin a new hour.
    await room.redis.hset(room.ledger.keys.of(batch).record, 'state', 'running');
    expect({ minutesAgo, isTaken: await take(batch, 2) }).toEqual({ minutesAgo, isTaken });
  }
});

it('pauses also what had come to its end, and what was cancelled', async () => {
  for (const state of ['completed', 'cancelled']) {
    const batch = directBatchOf(state);
    await take(batch, 1);
    const { record } = room.ledger.keys.of(batch);
    await room.redis.hset(record, { state, revoked: 1, completedAt: 1 });
    expect(await take(batch, 1)).toBe(false);
    expect(await room.batch(batch)).toMatchObject({ state: 'paused', counts: { accepted: 1 } });
    expect(await room.redis.hexists(record, 'completedAt')).toBe(0);
  }
});
