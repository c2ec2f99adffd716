import { afterAll, describe, expect, it } from 'vitest';
import { countsSinceResume } from '../../src/ledger/batch-record.ts';
import type { Run } from '../../src/ledger/call-notes.ts';
import type { DeadLetterOf } from '../../src/ledger/dead-letters.ts';
import { certificatesOf, INSTANCE, LedgerRoom, letterText, NOBODY } from './ledger-room.ts';

const room = new LedgerRoom();
afterAll(() => room.cleanup());

async function lettersOf(batch: string): Promise<DeadLetterOf[]> {
  const found: DeadLetterOf[] = [];
  for await (const letter of room.ledger.deadLetters.list({ batch })) found.push(letter);
  return found;
}

describe('dead letters', () => {
  it('are found by batch, code and instance, with what their items went through', async () => {
    const items = certificatesOf(4, ['post-cn-a', 'post-cn-b']);
    const batch = await room.batchOf(items);
    for (const [n, item] of items.entries()) {
      const code = n < 2 ? 'FindCaBySnError' : 'ParameterCheckFailed';
      await room.settle(batch, n, 'dead', { letter: letterText(item, code) });
    }
    const found = async (filter: object): Promise<number[]> => {
      const ordinals: number[] = [];
      for await (const letter of room.ledger.deadLetters.list({ batch, ...filter })) {
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

  it('of the first version that died of a failed service may have worked', async () => {
    const items = certificatesOf(3);
    const batch = await room.batchOf(items);
    const { dead, attempts } = room.ledger.keys.of(batch);
    const codes = ['InternalError', 'FindCaBySnError', 'worker-defect'];
    for (const [n, item] of items.entries()) {
      await room.settle(batch, n, 'dead', { letter: letterText(item, codes[n]) });
      const kept = (await room.redis.hget(dead, String(n))) ?? '';
      await room.redis.hset(dead, n, kept.replace('"calls":', '"attempts":'));
      expect(await room.ledger.deadLetters.reopen(batch, [n])).toEqual(['reopened']);
    }
    expect(await room.redis.hkeys(attempts)).toEqual(['0']);
  });

  it('can be retried once or put aside once, never both, whichever is first', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    const before = await room.job();
    await room.note(batch, 0, before);
    for (const n of [0, 1]) await room.settle(batch, n, 'dead', { run: before });
    const reopened = await Promise.all([0, 0, 0].map((n) => room.ledger.deadLetters.reopen(batch, [n])));
    expect(reopened.flat().toSorted()).toEqual(['gone', 'gone', 'reopened']);
    expect(await room.ledger.deadLetters.discard(batch, [0])).toEqual([false]);
    expect(await room.ledger.deadLetters.discard(batch, [1])).toEqual([true]);
    expect(await room.ledger.deadLetters.reopen(batch, [1])).toEqual(['gone']);
    // The run that it had ends it no more; the one that takes it from where it waits is the first after the retry.
    for (const outcome of ['dead', 'already-gone', 'cancelled'] as const) {
      for (const isUncalled of [true, false]) {
        expect(await room.settle(batch, 0, outcome, { run: before, isUncalled, requestId: 'R-late' })).toBe(
          'overtaken',
        );
      }
    }
    expect(await room.note(batch, 0, before)).toBe('left');
    expect((await room.waiting()).has(`${batch} 0`)).toBe(true);
    const runOf = await room.claimRuns(batch);
    expect(await room.note(batch, 0, runOf(0))).toBe('go');
    expect(await room.batch(batch)).toMatchObject({ state: 'running', counts: { dead: 1 } });
    expect(await room.settle(batch, 0, 'revoked', { run: before, isUncalled: false })).toBe('drained');
  });

  it.each([true, false])('say whether a call may have worked, also after a retry: %s', async (effectUnknown) => {
    const batch = await room.batchOf(certificatesOf(1));
    const run = await room.job();
    await room.note(batch, 0, run);
    const attempt = { failures: 3, calls: 4, effectUnknown };
    expect(await room.settle(batch, 0, 'dead', { run, isUncalled: false, attempt })).toBe('drained');
    expect(await lettersOf(batch)).toMatchObject([{ effectUnknown, history: [] }]);
    await room.ledger.deadLetters.reopen(batch, [0]);
    const runOf = await room.claimRuns(batch);
    // Tries and calls are those of its new life.
    expect(await room.note(batch, 0, runOf(0))).toBe(effectUnknown ? 'go 0 0 unknown' : 'go');
  });

  it('keep every death of their item, in order, and the retried life alone in the report', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    for (const code of ['First', 'Second', 'Third']) {
      const run: Run = code === 'First' ? NOBODY : (await room.claimRuns(batch))(0);
      const letter = letterText({ instanceId: INSTANCE, caSn: 'c', deviceSn: 'd' }, code);
      expect(await room.settle(batch, 0, 'dead', { run, letter, requestId: `R-${code}` })).toBe('drained');
      if (code !== 'Third') await room.ledger.deadLetters.reopen(batch, [0]);
    }
    const [letter] = await lettersOf(batch);
    expect(letter).toMatchObject({ code: 'Third', calls: 1 });
    expect(letter?.history.map(({ code, calls }) => [code, calls])).toEqual([
      ['First', 1],
      ['Second', 1],
    ]);
    expect(await room.rows(batch)).toMatchObject([{ outcome: 'dead', requestId: 'R-Third' }]);
    expect((await room.waiting()).has(`${batch} 0`)).toBe(false);
  });

  it('that are retried after a resume do not hide as many new ones from the breaker', async () => {
    const batch = await room.batchOf(certificatesOf(4));
    for (const n of [0, 1]) await room.settle(batch, n, 'dead');
    for (const event of ['pause', 'resume'] as const) await room.ledger.batches.change(batch, event);
    for (const n of [0, 1]) await room.ledger.deadLetters.reopen(batch, [n]);
    await room.settle(batch, 2, 'dead');
    const found = await room.batch(batch);
    expect(found.counts.dead).toBe(1);
    expect(countsSinceResume(found).dead).toBe(1);
  });

  it('that name no certificate cannot be retried, and can be put aside', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    const letter = letterText({ instanceId: '', caSn: '', deviceSn: '"text"' }, 'malformed-job');
    await room.settle(batch, 0, 'dead', { letter });
    expect(await room.ledger.deadLetters.reopen(batch, [0])).toEqual(['malformed']);
    expect(await room.batch(batch)).toMatchObject({ state: 'completed', counts: { dead: 1 } });
    expect(await room.ledger.deadLetters.discard(batch, [0])).toEqual([true]);
  });

  it('of a cancelled batch stay', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    await room.settle(batch, 0, 'dead');
    await room.ledger.batches.change(batch, 'cancel');
    expect(await room.ledger.deadLetters.reopen(batch, [0])).toEqual(['cancelled']);
    expect((await room.batch(batch)).counts.dead).toBe(1);
  });
});
