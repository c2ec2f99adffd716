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
import { UNNAMED_RUN, type Run, type Settlement } from '../../src/ledger/ledger.ts';
import { certificatesOf, depart, jobless, LedgerRoom, letterOf } from './ledger-room.ts';

const room = new LedgerRoom();
afterAll(() => room.cleanup());

const freeRun = (batch: string): Run => room.settlement(batch, 0, 'revoked').run;

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
    expect(await depart(room.redis, room.ledger, batch, 0)).toBe('none');
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
    const run: Run = { lock: { key: `${room.keys.prefix}:lock`, token: 'ours' }, name: 'run', told: '' };
    expect(await room.ledger.depart(batch, 0, 0, run)).toBe('lock-lost');
    await room.redis.set(run.lock.key, 'theirs');
    expect(await room.ledger.depart(batch, 0, 0, run)).toBe('lock-lost');
    await room.redis.set(run.lock.key, run.lock.token);
    expect(await room.ledger.depart(batch, 9, 0, run)).toBe('none');
    expect(await room.ledger.depart('nowhere', 0, 0, run)).toBe('no-batch');
    expect(await room.ledger.haveDeparted(batch, [0, 9, 4])).toEqual([false, true, false]);
    expect(await room.ledger.haveDeparted('nowhere', [7])).toEqual([false]);
  });

  it('is told from those of other runs, but for the run that the record of the item names', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    const note = (name: string, told = ''): Promise<string> =>
      depart(room.redis, room.ledger, batch, 0, { name, told });
    expect(await note('first')).toBe('none');
    // As a client does that lost the reply.
    expect(await note('first')).toBe('told');
    expect(await note('second', 'first')).toBe('told');
    expect(await note('third', 'first')).toBe('untold');
    expect(await note('second', 'first')).toBe('untold');
  });

  it('that a version without names has noted is told of by a record of its own alone', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    await room.redis.hdel(room.ledger.keys.of(batch).record, 'layout');
    for (const n of [0, 1]) await room.redis.setbit(room.ledger.keys.of(batch).departed, n, 1);
    expect(await room.ledger.haveDeparted(batch, [0, 1])).toEqual([true, true]);
    expect(await depart(room.redis, room.ledger, batch, 0, { told: UNNAMED_RUN })).toBe('told');
    expect(await depart(room.redis, room.ledger, batch, 1)).toBe('untold');
  });

  it('leaves no note behind when its item is settled', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    for (const n of [0, 1]) await depart(room.redis, room.ledger, batch, n);
    for (const n of [0, 1]) await room.ledger.settle(room.settlement(batch, n, 'revoked'));
    expect(await room.redis.exists(room.ledger.keys.of(batch).notes)).toBe(0);
  });

  it.each([true, false])(
    'of a dead item may still have worked after a retry, when its letter says so: %s',
    async (effectUnknown) => {
      const [item] = certificatesOf(1);
      if (item === undefined) return;
      const batch = await room.batchOf([item]);
      await depart(room.redis, room.ledger, batch, 0, { name: 'told' });
      const letter = JSON.stringify({ ...letterOf(item), effectUnknown });
      const run: Run = { ...freeRun(batch), told: 'told' };
      expect(await room.ledger.settle(room.settlement(batch, 0, 'dead', { letter, run, doubt: effectUnknown }))).toBe(
        'drained',
      );
      await reopenDeadLetter(room.redis, room.ledger, batch, 0);
      expect(await depart(room.redis, room.ledger, batch, 0, { retries: 1 })).toBe(effectUnknown ? 'untold' : 'none');
    },
  );
});

describe('an outcome other than revoked', () => {
  const others = ['already-gone', 'dead', 'cancelled'] as const;

  it.each(others)('%s is written by the run that has the job, or where no run has it', async (outcome) => {
    const batch = await room.batchOf(certificatesOf(3));
    const lock = { key: `${room.keys.prefix}:lock-of-${outcome}`, token: 'ours' };
    const settle = (n: number, token: string): Promise<string> => {
      const run = { ...freeRun(batch), lock: { ...lock, token } };
      return room.ledger.settle(room.settlement(batch, n, outcome, { run }));
    };
    expect(await settle(0, 'ours')).toBe('lock-lost');
    await room.redis.set(lock.key, 'theirs');
    expect(await settle(0, 'ours')).toBe('lock-lost');
    expect(await settle(0, '')).toBe('lock-lost');
    expect((await room.batch(batch)).counts).toMatchObject({ accepted: 3, alreadyGone: 0, dead: 0, cancelled: 0 });
    await room.redis.set(lock.key, 'ours');
    expect(await settle(0, 'ours')).toBe('settled');
    await room.redis.del(lock.key);
    expect(await settle(1, '')).toBe('settled');
  });

  it.each(others)('%s is not written over the call of another run', async (outcome) => {
    const batch = await room.batchOf(certificatesOf(2));
    await depart(room.redis, room.ledger, batch, 0, { name: 'theirs' });
    expect(await room.ledger.settle(room.settlement(batch, 0, outcome))).toBe('untold');
    // A settler that knows of it may say dead, with a letter that says so; cancelling would hide a deletion.
    const aware = await room.ledger.settle(room.settlement(batch, 0, outcome, { doubt: true }));
    expect(aware).toBe(outcome === 'cancelled' ? 'untold' : 'settled');
    await depart(room.redis, room.ledger, batch, 1, { name: 'theirs' });
    const run = { ...freeRun(batch), told: 'theirs' };
    expect(await room.ledger.settle(room.settlement(batch, 1, outcome, { run }))).toMatch(/settled|drained/);
  });

  it('rests on no call that the ledger never noted, whatever the record says', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    const claims: Partial<Settlement>[] = [{ doubt: true }, { attempts: 3 }];
    for (const [n, claim] of claims.entries()) {
      for (const outcome of ['dead', 'cancelled'] as const)
        expect(await room.ledger.settle(room.settlement(batch, n, outcome, claim))).toBe('none');
      // A run that has made the calls itself knows better than a Redis that has lost its note.
      expect(await room.ledger.settle(room.settlement(batch, n, 'dead', { ...claim, isHeard: true }))).not.toBe('none');
    }
  });
});

describe('a settlement that is sent again', () => {
  it.each([
    ['with the request id of its answer', { requestId: 'R-own' }],
    ['with the name of its run, where no answer had one', { requestId: '' }],
  ])('is known %s, and told again as before', async (_, { requestId }) => {
    const batch = await room.batchOf(certificatesOf(2));
    const run = { ...freeRun(batch), name: 'ours' };
    const settle = (n: number): Promise<string> =>
      room.ledger.settle(
        room.settlement(batch, n, 'already-gone', { run, requestId: requestId && `${requestId}-${n}` }),
      );
    expect([await settle(0), await settle(0), await settle(1), await settle(1)]).toEqual([
      'settled',
      'settled',
      'drained',
      'drained',
    ]);
    const other = { ...run, name: 'theirs' };
    expect(await room.ledger.settle(room.settlement(batch, 0, 'already-gone', { run: other, requestId: '' }))).toBe(
      'already',
    );
    expect((await room.batch(batch)).counts).toMatchObject({ accepted: 2, alreadyGone: 2 });
    expect(await room.redis.xlen(room.ledger.keys.of(batch).ledger)).toBe(2);
  });
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
    expect(await room.ledger.cancelItems(batch, jobless(0, 1, 2, 3))).toBe(0);
    await room.ledger.change(batch, 'cancel');
    expect(await room.ledger.cancelItems(batch, jobless(0, 1, 2))).toBe(2);
    expect(await room.ledger.cancelItems(batch, jobless(0, 1, 2, 3))).toBe(1);
    expect(await room.batch(batch)).toMatchObject({ state: 'cancelled', counts: { revoked: 1, cancelled: 3 } });
  });

  it('cancels nothing that has a job by now, or of which a call was noted', async () => {
    const batch = await room.batchOf(certificatesOf(3));
    await room.ledger.change(batch, 'cancel');
    await depart(room.redis, room.ledger, batch, 1);
    const job = `${room.keys.prefix}:job-of-${batch}`;
    await room.redis.hset(job, 'data', '{}');
    const items = [{ n: 0, jobKeys: [`${job}-none`, job] }, ...jobless(1), { n: 2, jobKeys: [`${job}-none`] }];
    expect(await room.ledger.cancelItems(batch, items)).toBe(1);
    expect((await room.rows(batch)).map(({ ordinal }) => ordinal)).toEqual([2]);
    // Nobody can call for what it is not known which certificate it is.
    expect(await room.ledger.cancelItems(batch, jobless(1), true)).toBe(1);
    expect((await room.batch(batch)).counts.cancelled).toBe(2);
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
    expect(await depart(room.redis, room.ledger, batch, 0, { retries: 1 })).toBe('none');
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
