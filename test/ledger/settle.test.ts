import { afterAll, describe, expect, it } from 'vitest';
import { OUTCOMES } from '../../src/core/batch.ts';
import { COUNT_FIELD, countsSinceResume } from '../../src/ledger/batch-record.ts';
import {
  deadLetters,
  discardDeadLetter,
  reopenDeadLetter,
  reopenedItems,
  retriesOf,
} from '../../src/ledger/dead-letters.ts';
import { certificatesOf, depart, LedgerRoom, letterOf } from './ledger-room.ts';

const room = new LedgerRoom();
afterAll(() => room.cleanup());

describe('settling an item', () => {
  it.each(OUTCOMES)('counts %s once, however often it is said, and whatever is said later', async (outcome) => {
    const batch = await room.batchOf(certificatesOf(2));
    expect(await room.ledger.settle(room.settlement(batch, 1, outcome))).toBe('settled');
    expect(await room.ledger.settle(room.settlement(batch, 1, outcome))).toBe('already');
    expect(await room.ledger.settle(room.settlement(batch, 1, 'revoked', { byAbsence: true }))).toBe('already');
    const { counts, confirmedByAbsence } = await room.batch(batch);
    const none = { accepted: 2, revoked: 0, alreadyGone: 0, dead: 0, cancelled: 0 };
    expect(counts).toEqual({ ...none, [COUNT_FIELD[outcome]]: 1 });
    expect(confirmedByAbsence).toBe(0);
    expect(await room.redis.xlen(room.ledger.keys.of(batch).ledger)).toBe(1);
    // Nobody calls for it again.
    expect(await depart(room.redis, room.ledger, batch, 1)).toBe('settled');
    expect(await depart(room.redis, room.ledger, batch, 0)).toBe('noted');
  });

  it('counts once when many say it at the same time', async () => {
    const batch = await room.batchOf(certificatesOf(3));
    const replies = await Promise.all(
      Array.from({ length: 50 }, (_, at) => room.ledger.settle(room.settlement(batch, at % 2, 'revoked'))),
    );
    expect(replies.filter((reply) => reply === 'settled')).toHaveLength(2);
    expect((await room.batch(batch)).counts.revoked).toBe(2);
  });

  it('knows no item beyond the last, and no batch that is not there or not activated', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    expect(await room.ledger.settle(room.settlement(batch, 2, 'revoked'))).toBe('unknown');
    expect(await room.ledger.settle(room.settlement(batch, 4_000_000_000, 'revoked'))).toBe('unknown');
    expect(await room.ledger.settle(room.settlement('nowhere', 0, 'revoked'))).toBe('unknown');
    const plan = await room.plan(certificatesOf(2));
    expect(await room.ledger.settle(room.settlement(plan.batch, 0, 'revoked'))).toBe('unknown');
    expect(await room.keysWith('nowhere')).toEqual([]);
    expect((await room.batch(batch)).counts.revoked).toBe(0);
  });

  it('completes the batch with its last item, running or paused, and takes it from the active ones', async () => {
    for (const pause of [false, true]) {
      const batch = await room.batchOf(certificatesOf(2));
      expect((await room.ledger.activeBatches()).map(({ id }) => id)).toContain(batch);
      await room.ledger.settle(room.settlement(batch, 0, 'revoked'));
      if (pause) await room.ledger.change(batch, 'pause', 'a reason');
      expect(await room.ledger.settle(room.settlement(batch, 1, 'dead'))).toBe('drained');
      const done = await room.batch(batch);
      expect(done.state).toBe('completed');
      expect(done.completedAt).toBeGreaterThanOrEqual(done.submittedAt);
      expect((await room.ledger.activeBatches()).map(({ id }) => id)).not.toContain(batch);
    }
  });
});

describe('a call', () => {
  it('is noted by the run that has the job, and by no other', async () => {
    const batch = await room.batchOf(certificatesOf(10));
    const lock = { key: `${room.keys.prefix}:lock`, token: 'ours' };
    expect(await room.ledger.depart(batch, 0, 0, lock)).toBe('lock-lost');
    await room.redis.set(lock.key, 'theirs');
    expect(await room.ledger.depart(batch, 0, 0, lock)).toBe('lock-lost');
    await room.redis.set(lock.key, lock.token);
    expect(await room.ledger.depart(batch, 9, 0, lock)).toBe('noted');
    expect(await room.ledger.depart('nowhere', 0, 0, lock)).toBe('no-batch');
    expect(await room.ledger.haveDeparted(batch, [0, 9, 4])).toEqual([false, true, false]);
    expect(await room.ledger.haveDeparted('nowhere', [7])).toEqual([false]);
  });

  it.each([true, false])(
    'of a dead item may still have worked after a retry, when its letter says so: %s',
    async (effectUnknown) => {
      const [item] = certificatesOf(1);
      if (item === undefined) return;
      const batch = await room.batchOf([item]);
      await depart(room.redis, room.ledger, batch, 0);
      const letter = JSON.stringify({ ...letterOf(item), effectUnknown });
      await room.ledger.settle(room.settlement(batch, 0, 'dead', { letter }));
      await reopenDeadLetter(room.redis, room.ledger, batch, 0);
      expect(await room.ledger.hasDeparted(batch, 0)).toBe(effectUnknown);
    },
  );
});

it('finds the first item that is not settled, from any chunk on', async () => {
  const batch = await room.batchOf(certificatesOf(2_010));
  expect(await room.ledger.nextOpen(batch, 1_000)).toBe(1_000);
  for (let n = 1_000; n < 2_010; n += 1) await room.redis.setbit(room.ledger.keys.of(batch).settled, n, 1);
  expect(await room.ledger.nextOpen(batch, 0)).toBe(0);
  expect(await room.ledger.nextOpen(batch, 1_000)).toBe(2_010);
  expect(await room.ledger.nextOpen(batch, 3_000)).toBe(3_000);
});

describe('the states of a batch', () => {
  it('keeps the reason of a pause until it is resumed, and counts anew from there', async () => {
    const batch = await room.batchOf(certificatesOf(4));
    await room.ledger.settle(room.settlement(batch, 0, 'dead'));
    expect(await room.ledger.change(batch, 'pause', 'too many are dead')).toEqual({ kind: 'changed', state: 'paused' });
    expect(await room.batch(batch)).toMatchObject({ state: 'paused', pausedBecause: 'too many are dead' });
    expect(await room.ledger.change(batch, 'pause')).toEqual({ kind: 'refused', state: 'paused' });
    await room.ledger.change(batch, 'resume');
    const resumed = await room.batch(batch);
    expect(resumed).not.toHaveProperty('pausedBecause');
    expect(resumed.resumedAt).toEqual({ accepted: 4, revoked: 0, alreadyGone: 0, dead: 1, cancelled: 0 });
    expect(await room.ledger.change('nowhere', 'pause')).toEqual({ kind: 'no-batch' });
  });

  it('tells every process of a change through the signals counter', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    const signals = async (): Promise<number> => Number(await room.redis.get(room.ledger.keys.signals));
    const before = await signals();
    for (const event of ['pause', 'resume', 'cancel'] as const) await room.ledger.change(batch, event);
    expect(await signals()).toBe(before + 3);
  });

  it('cancels only what is pending, and only in a cancelled batch', async () => {
    const batch = await room.batchOf(certificatesOf(4));
    await room.ledger.settle(room.settlement(batch, 1, 'revoked'));
    expect(await room.ledger.cancelItems(batch, [0, 1, 2, 3])).toBe(0);
    await room.ledger.change(batch, 'cancel');
    expect(await room.ledger.cancelItems(batch, [0, 1, 2])).toBe(2);
    expect(await room.ledger.cancelItems(batch, [0, 1, 2, 3])).toBe(1);
    expect(await room.batch(batch)).toMatchObject({ state: 'cancelled', counts: { revoked: 1, cancelled: 3 } });
  });
});

describe('dead letters', () => {
  it('are found by batch, code and instance, with what their items went through', async () => {
    const items = certificatesOf(4, ['post-cn-a', 'post-cn-b']);
    const batch = await room.batchOf(items);
    for (const [n, item] of items.entries()) {
      const code = n < 2 ? 'FindCaBySnError' : 'ParameterCheckFailed';
      const letter = JSON.stringify({ ...item, code, message: 'm', requestId: 'R', attempts: 1, at: 1, history: [] });
      await room.ledger.settle(room.settlement(batch, n, 'dead', { letter }));
    }
    const found = async (filter: object): Promise<number[]> => {
      const ordinals: number[] = [];
      for await (const letter of deadLetters(room.redis, room.ledger, { batch, ...filter })) {
        expect(letter).toMatchObject({ batch, ...items[letter.n] });
        ordinals.push(letter.n);
      }
      return ordinals.toSorted((a, b) => a - b);
    };
    expect(await found({})).toEqual([0, 1, 2, 3]);
    expect(await found({ code: 'FindCaBySnError' })).toEqual([0, 1]);
    expect(await found({ code: 'FindCaBySnError', instanceId: 'post-cn-b' })).toEqual([1]);
    expect(await found({ code: 'OK' })).toEqual([]);
  });

  it('can be retried once or put aside once, never both, whoever is first', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    for (const n of [0, 1]) await room.ledger.settle(room.settlement(batch, n, 'dead'));
    const reopened = await Promise.all([0, 0, 0].map((n) => reopenDeadLetter(room.redis, room.ledger, batch, n)));
    expect(reopened.toSorted()).toEqual(['gone', 'gone', 'reopened']);
    expect(await discardDeadLetter(room.redis, room.ledger, batch, 0)).toBe(false);
    expect(await discardDeadLetter(room.redis, room.ledger, batch, 1)).toBe(true);
    expect(await reopenDeadLetter(room.redis, room.ledger, batch, 1)).toBe('gone');
    expect((await reopenedItems(room.redis, room.ledger, batch)).map(({ n }) => n)).toEqual([0]);
    // The job that it had calls no more and can end it no more; the one that it gets is the first after a retry.
    expect(await depart(room.redis, room.ledger, batch, 0)).toBe('settled');
    expect(await depart(room.redis, room.ledger, batch, 0, 1)).toBe('noted');
    for (const outcome of ['dead', 'already-gone', 'cancelled'] as const) {
      expect(await room.ledger.settle(room.settlement(batch, 0, outcome, { retries: 0 }))).toBe('already');
    }
    expect(await retriesOf(room.redis, room.ledger, batch, [1, 0])).toEqual([0, 1]);
    expect(await room.batch(batch)).toMatchObject({ state: 'running', counts: { dead: 1 } });
    expect(await room.ledger.settle(room.settlement(batch, 0, 'revoked'))).toBe('drained');
  });

  it('that are retried after a resume do not hide as many new ones from the breaker', async () => {
    const batch = await room.batchOf(certificatesOf(4));
    for (const n of [0, 1]) await room.ledger.settle(room.settlement(batch, n, 'dead'));
    for (const event of ['pause', 'resume'] as const) await room.ledger.change(batch, event);
    for (const n of [0, 1]) await reopenDeadLetter(room.redis, room.ledger, batch, n);
    await room.ledger.settle(room.settlement(batch, 2, 'dead'));
    const found = await room.batch(batch);
    expect(found.counts.dead).toBe(1);
    expect(countsSinceResume(found).dead).toBe(1);
  });

  it('that name no certificate cannot be retried, and can be put aside', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    const letter = JSON.stringify(letterOf({ instanceId: '', caSn: '', deviceSn: '"text"' }, 'malformed-job'));
    await room.ledger.settle(room.settlement(batch, 0, 'dead', { letter }));
    expect(await reopenDeadLetter(room.redis, room.ledger, batch, 0)).toBe('malformed');
    expect(await room.batch(batch)).toMatchObject({ state: 'completed', counts: { dead: 1 } });
    expect(await discardDeadLetter(room.redis, room.ledger, batch, 0)).toBe(true);
  });

  it('of a cancelled batch stay', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    await room.ledger.settle(room.settlement(batch, 0, 'dead'));
    await room.ledger.change(batch, 'cancel');
    expect(await reopenDeadLetter(room.redis, room.ledger, batch, 0)).toBe('cancelled');
    expect((await room.batch(batch)).counts.dead).toBe(1);
  });
});
