import { afterAll, describe, expect, it } from 'vitest';
import { ACTIONS, outcomesOfAction } from '../../src/core/action.ts';
import { COUNT_FIELD, OUTCOMES } from '../../src/core/batch.ts';
import { certificatesOf, LedgerRoom } from './ledger-room.ts';

const room = new LedgerRoom();
afterAll(() => room.cleanup());

const itemsOf = (...ordinals: number[]): { n: number }[] => ordinals.map((n) => ({ n }));

describe('settling an item', () => {
  it.each(OUTCOMES)('counts %s once, however often it is said, and whatever is said later', async (outcome) => {
    const action = ACTIONS.find((known) => outcomesOfAction(known).includes(outcome)) ?? 'delete';
    const batch = await room.batchOf(certificatesOf(2), 'bulk', action);
    expect(await room.settle(batch, 1, outcome)).toBe('settled');
    expect(await room.settle(batch, 1, outcome, { requestId: 'R-other' })).toBe('already');
    expect(await room.settle(batch, 1, 'revoked', { byAbsence: true, requestId: 'R-third' })).toBe('already');
    const { counts, confirmedByAbsence } = await room.batch(batch);
    const none = { accepted: 2, revoked: 0, alreadyGone: 0, dead: 0, cancelled: 0 };
    const others = Object.fromEntries(outcomesOfAction(action).map((known) => [COUNT_FIELD[known], 0]));
    expect(counts).toEqual({ ...none, ...others, [COUNT_FIELD[outcome]]: 1 });
    expect(confirmedByAbsence).toBe(0);
    expect(await room.redis.xlen(room.ledger.keys.of(batch).ledger)).toBe(1);
    // Nobody calls for it again.
    expect(await room.note(batch, 1, await room.job())).toBe('settled');
    expect(await room.note(batch, 0, await room.job())).toBe('go');
  });

  it('counts once when many say it at the same time', async () => {
    const batch = await room.batchOf(certificatesOf(3));
    const replies = await Promise.all(
      Array.from({ length: 50 }, (_, at) => room.settle(batch, at % 2, 'revoked', { requestId: `R-${at}` })),
    );
    expect(replies.filter((reply) => reply === 'settled')).toHaveLength(2);
    expect((await room.batch(batch)).counts.revoked).toBe(2);
  });

  it('knows no item beyond the last, and no batch that is not there or not activated', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    expect(await room.settle(batch, 2, 'revoked')).toBe('unknown');
    expect(await room.settle(batch, 4_000_000_000, 'revoked')).toBe('unknown');
    expect(await room.settle('nowhere', 0, 'revoked')).toBe('unknown');
    const plan = await room.plan(certificatesOf(2));
    expect(await room.settle(plan.batch, 0, 'revoked')).toBe('unknown');
    expect(await room.keysWith('nowhere')).toEqual([]);
    expect((await room.batch(batch)).counts.revoked).toBe(0);
  });

  it('completes the batch with its last item, running or paused, and takes it from the active ones', async () => {
    for (const pause of [false, true]) {
      const batch = await room.batchOf(certificatesOf(2));
      expect((await room.ledger.batches.active()).map(({ id }) => id)).toContain(batch);
      await room.settle(batch, 0, 'revoked');
      if (pause) await room.ledger.batches.change(batch, 'pause', { pausedBecause: 'a reason' });
      expect(await room.settle(batch, 1, 'dead')).toBe('drained');
      const done = await room.batch(batch);
      expect(done.state).toBe('completed');
      expect(done.completedAt).toBeGreaterThanOrEqual(done.submittedAt);
      expect((await room.ledger.batches.active()).map(({ id }) => id)).not.toContain(batch);
    }
  });
});

describe('a report that is sent again', () => {
  it.each([
    ['with the request id of its answer', { requestId: 'R-own' }],
    ['with the name of its run, where no answer had one', { requestId: '' }],
  ])('is known %s, and told again as before', async (_, { requestId }) => {
    const batch = await room.batchOf(certificatesOf(2));
    const run = room.joblessRun();
    const settle = (n: number): Promise<string> =>
      room.settle(batch, n, 'already-gone', { run, requestId: requestId && `${requestId}-${n}` });
    expect([await settle(0), await settle(0), await settle(1), await settle(1)]).toEqual([
      'settled',
      'settled',
      'drained',
      'drained',
    ]);
    expect(await room.settle(batch, 0, 'already-gone', { run: room.joblessRun(), requestId: '' })).toBe('already');
    expect((await room.batch(batch)).counts).toMatchObject({ accepted: 2, alreadyGone: 2 });
    expect(await room.redis.xlen(room.ledger.keys.of(batch).ledger)).toBe(2);
  });

  it('with several items is told again whole, and adds nothing', async () => {
    const batch = await room.batchOf(certificatesOf(6));
    const outcomes = ['revoked', 'dead', 'revoked', 'already-gone', 'cancelled', 'revoked'] as const;
    const reports = outcomes.map((outcome, n) => room.settlement(n, outcome));
    const first = await room.report(batch, ...reports);
    expect(first).toEqual({ replies: outcomes.map(() => 'settled'), isDrained: true });
    const before = [await room.rows(batch), await room.batch(batch)];
    expect(await room.report(batch, ...reports)).toEqual(first);
    expect([await room.rows(batch), await room.batch(batch)]).toEqual(before);
    // A dead letter's entry is marked where it is retried; the others share one for each outcome.
    expect(await room.redis.xlen(room.ledger.keys.of(batch).ledger)).toBe(4);
  });
});

it('finds the first item that is not settled, from any chunk on', async () => {
  const batch = await room.batchOf(certificatesOf(2_010));
  expect(await room.ledger.items.nextOpen(batch, 1_000)).toBe(1_000);
  for (let n = 1_000; n < 2_010; n += 1) await room.redis.setbit(room.ledger.keys.of(batch).settled, n, 1);
  expect(await room.ledger.items.nextOpen(batch, 0)).toBe(0);
  expect(await room.ledger.items.nextOpen(batch, 1_000)).toBe(2_010);
  expect(await room.ledger.items.nextOpen(batch, 3_000)).toBe(3_000);
});

describe('the states of a batch', () => {
  it('keeps the reason of a pause until it is resumed, and counts from zero then', async () => {
    const batch = await room.batchOf(certificatesOf(4));
    await room.settle(batch, 0, 'dead');
    expect(await room.ledger.batches.change(batch, 'pause', { pausedBecause: 'too many are dead' })).toEqual({
      kind: 'changed',
      state: 'paused',
    });
    expect(await room.batch(batch)).toMatchObject({ state: 'paused', pausedBecause: 'too many are dead' });
    expect(await room.ledger.batches.change(batch, 'pause')).toEqual({ kind: 'refused', state: 'paused' });
    await room.ledger.batches.change(batch, 'resume');
    const resumed = await room.batch(batch);
    expect(resumed).not.toHaveProperty('pausedBecause');
    expect(resumed.resumedAt).toEqual({ accepted: 4, revoked: 0, alreadyGone: 0, dead: 1, cancelled: 0 });
    expect(await room.ledger.batches.change('nowhere', 'pause')).toEqual({ kind: 'no-batch' });
  });

  it('tells every process of a change through the signals counter', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    const signals = async (): Promise<number> => Number(await room.redis.get(room.ledger.keys.signals));
    const before = await signals();
    for (const event of ['pause', 'resume', 'cancel'] as const) await room.ledger.batches.change(batch, event);
    expect(await signals()).toBe(before + 3);
  });

  it('cancels only what is pending, and only in a cancelled batch', async () => {
    const batch = await room.batchOf(certificatesOf(4));
    await room.settle(batch, 1, 'revoked');
    expect(await room.ledger.items.cancel(batch, itemsOf(0, 1, 2, 3))).toHaveLength(0);
    await room.ledger.batches.change(batch, 'cancel');
    expect(await room.ledger.items.cancel(batch, itemsOf(0, 1, 2))).toHaveLength(2);
    expect(await room.ledger.items.cancel(batch, itemsOf(0, 1, 2, 3))).toHaveLength(1);
    expect(await room.batch(batch)).toMatchObject({ state: 'cancelled', counts: { revoked: 1, cancelled: 3 } });
  });

  it('cancels an item that has a job, and none of which a call may have worked', async () => {
    const batch = await room.batchOf(certificatesOf(5));
    const live = await room.job();
    const crashed = await room.job();
    const told = await room.job();
    await room.note(batch, 1, live);
    await room.note(batch, 2, crashed);
    await room.loseJob(crashed);
    for (const [n, effectUnknown] of [
      [3, true],
      [4, false],
    ] as const) {
      await room.note(batch, n, told);
      await room.handBack(batch, n, told, { kind: 'release', attempt: { failures: 1, calls: 1, effectUnknown } });
    }
    await room.ledger.batches.change(batch, 'cancel');
    expect(await room.ledger.items.cancel(batch, itemsOf(0, 1, 2, 3, 4))).toHaveLength(2);
    expect((await room.rows(batch)).map(({ ordinal, outcome }) => [ordinal, outcome])).toEqual([
      [0, 'cancelled'],
      [4, 'cancelled'],
    ]);
    // The job hears of it before it calls; what may have worked is followed.
    expect(await room.note(batch, 0, told)).toBe('settled');
    expect(await room.note(batch, 3, told)).toBe('go 1 1 unknown');
    // Nobody can call for what it is not known which certificate it is.
    expect(await room.ledger.items.cancel(batch, itemsOf(1), true)).toHaveLength(1);
    expect((await room.batch(batch)).counts).toMatchObject({ accepted: 5, cancelled: 3 });
  });

  it('counts an item once that a cancel lists twice', async () => {
    const batch = await room.batchOf(certificatesOf(3));
    await room.ledger.batches.change(batch, 'cancel');
    expect(await room.ledger.items.cancel(batch, itemsOf(1, 1, 2, 1))).toHaveLength(2);
    expect(await room.rows(batch)).toHaveLength(2);
    expect((await room.batch(batch)).counts).toMatchObject({ accepted: 3, cancelled: 2 });
  });
});
