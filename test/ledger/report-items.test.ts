import { afterAll, describe, expect, it } from 'vitest';
import { FIRST_ATTEMPT } from '../../src/core/decide.ts';
import type { Run } from '../../src/ledger/call-notes.ts';
import { certificatesOf, INSTANCE, LedgerRoom, LEASE_MS } from './ledger-room.ts';

const room = new LedgerRoom();
afterAll(() => room.cleanup());

const CALLED = { failures: 1, calls: 2, effectUnknown: true };
const park = (batch: string, ...ordinals: number[]): Promise<void> =>
  room.ledger.waiting.park(batch, INSTANCE, ordinals);

/** All that the ledger knows of a batch and of what of it waits. */
async function stateOf(batch: string): Promise<unknown> {
  const waiting = [...(await room.waiting())].filter(([member]) => member.startsWith(batch));
  return [await room.batch(batch), await room.rows(batch), await room.attempts(batch), waiting];
}

/** That a run may say nothing of the item but that it is revoked. */
async function expectOvertaken(batch: string, n: number, run: Run, isUncalled: boolean): Promise<void> {
  const before = await stateOf(batch);
  for (const outcome of ['already-gone', 'dead', 'cancelled'] as const)
    expect(await room.settle(batch, n, outcome, { run, isUncalled, requestId: '' })).toBe('overtaken');
  const attempt = isUncalled ? {} : { attempt: CALLED };
  expect(await room.handBack(batch, n, run, { kind: 'wait', delayMs: 5, ...attempt })).toBe('overtaken');
  expect(await room.handBack(batch, n, run, { kind: 'release', ...attempt })).toBe('overtaken');
  expect(await stateOf(batch)).toEqual(before);
}

describe('what a run says that has lost its job', () => {
  it('changes nothing once another has noted a call, with calls of its own or without', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    const [first, second] = [await room.job(), await room.job()];
    await room.note(batch, 0, first);
    await room.loseJob(first);
    await room.note(batch, 0, second);
    await expectOvertaken(batch, 0, first, false);
    await expectOvertaken(batch, 0, first, true);
    // It has heard that it is done: that is one by whichever run.
    expect(await room.settle(batch, 0, 'revoked', { run: first, isUncalled: false })).toBe('settled');
  });

  it('counts while nobody has noted another call', async () => {
    const batch = await room.batchOf(certificatesOf(3));
    const run = await room.job();
    for (const n of [0, 1, 2]) await room.note(batch, n, run);
    await room.loseJob(run);
    expect(await room.settle(batch, 0, 'dead', { run, isUncalled: false, attempt: CALLED })).toBe('settled');
    expect(await room.handBack(batch, 1, run, { kind: 'release', attempt: CALLED })).toBe('released');
    expect(await room.handBack(batch, 2, run, { kind: 'wait', delayMs: LEASE_MS, attempt: CALLED })).toBe('waiting');
    expect(await room.attempts(batch)).toEqual({ 1: '1 2 1 0 ', 2: '1 2 1 0 ' });
  });

  it('of a call that was never noted, or was told of already, changes nothing', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    const run = await room.job();
    await expectOvertaken(batch, 0, run, false);
    await room.note(batch, 0, run);
    await room.handBack(batch, 0, run, { kind: 'release', attempt: CALLED });
    await expectOvertaken(batch, 0, run, false);
  });
});

describe('what a run says that has made no call', () => {
  it('counts where no call of another is on its way, and takes that of a dead run for a crash', async () => {
    const batch = await room.batchOf(certificatesOf(4));
    const [dead, run] = [await room.job(), await room.job()];
    for (const n of [0, 1, 2]) await room.note(batch, n, dead);
    await expectOvertaken(batch, 0, run, true);
    await room.loseJob(dead);
    expect(await room.settle(batch, 0, 'dead', { run })).toBe('settled');
    expect((await room.redis.hvals(room.ledger.keys.of(batch).dead))[0]).toContain('"effectUnknown":true');
    expect(await room.handBack(batch, 1, run, { kind: 'release' })).toBe('released');
    // Cancelling would hide a deletion.
    expect(await room.settle(batch, 2, 'cancelled', { run })).toBe('overtaken');
    expect(await room.settle(batch, 3, 'cancelled', { run, requestId: '' })).toBe('settled');
    const noted = `0 0 0 0 ${dead.lockKey} ${dead.token}`;
    expect(await room.attempts(batch)).toEqual({ 1: '0 0 1 1 ', 2: noted });
  });

  it('changes nothing of an item that waits, unless the run has its claim', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    const job = await room.job();
    await park(batch, 0);
    await expectOvertaken(batch, 0, job, true);
    const claim = (await room.claimRuns(batch))(0);
    await expectOvertaken(batch, 0, job, true);
    await expectOvertaken(batch, 0, { ...claim, name: 'passed', score: claim.score - LEASE_MS }, true);
    expect(await room.handBack(batch, 0, claim, { kind: 'wait', delayMs: LEASE_MS })).toBe('waiting');
  });

  it('changes nothing of an item for which the run that has its claim calls', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    await park(batch, 0);
    const claim = (await room.claimRuns(batch))(0);
    const passed = { ...claim, name: 'passed', score: claim.score - 1 };
    await room.note(batch, 0, claim);
    await expectOvertaken(batch, 0, await room.job(), true);
    await expectOvertaken(batch, 0, passed, true);
    expect(await room.settle(batch, 0, 'already-gone', { run: claim, isUncalled: false })).toBe('settled');
  });

  it('ends its own note without a word of a call', async () => {
    const batch = await room.batchOf(certificatesOf(2));
    const run = await room.job();
    await room.note(batch, 0, run);
    await room.note(batch, 1, run);
    expect(await room.handBack(batch, 0, run, { kind: 'release' })).toBe('released');
    expect(await room.handBack(batch, 1, run, { kind: 'wait', delayMs: 0 })).toBe('waiting');
    expect(await room.attempts(batch)).toEqual({});
    // A second time the answer may be another; nothing changes.
    const before = await stateOf(batch);
    expect(await room.handBack(batch, 0, run, { kind: 'release' })).toBe('released');
    expect(await room.handBack(batch, 1, run, { kind: 'wait', delayMs: LEASE_MS })).toBe('overtaken');
    expect(await stateOf(batch)).toEqual(before);
  });
});

describe('an effect that is not known', () => {
  it('is never forgotten, whatever a report says', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    const run = await room.job();
    await room.note(batch, 0, run);
    await room.handBack(batch, 0, run, { kind: 'release', attempt: CALLED });
    await room.note(batch, 0, run);
    const attempt = { ...FIRST_ATTEMPT, calls: 3 };
    await room.handBack(batch, 0, run, { kind: 'release', attempt });
    expect(await room.attempts(batch)).toEqual({ 0: '0 3 1 0 ' });
    await room.note(batch, 0, run);
    await room.settle(batch, 0, 'dead', { run, isUncalled: false, attempt });
    expect((await room.redis.hvals(room.ledger.keys.of(batch).dead))[0]).toContain('"effectUnknown":true');
  });

  it('keeps its item from being cancelled, also where its own run says so', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    const run = await room.job();
    await room.note(batch, 0, run);
    const before = await stateOf(batch);
    expect(await room.settle(batch, 0, 'cancelled', { run, isUncalled: false, attempt: CALLED })).toBe('overtaken');
    expect(await stateOf(batch)).toEqual(before);
  });
});

describe('one report of several items', () => {
  it('answers for each as one alone does, and counts in one step', async () => {
    const batch = await room.batchOf(certificatesOf(7));
    const [run, other] = [await room.job(), await room.job()];
    for (const n of [0, 1, 2, 3]) await room.note(batch, n, run);
    await room.note(batch, 4, other);
    await room.settle(batch, 5, 'revoked', { requestId: 'R-before' });
    const called = { run, isUncalled: false };
    const base = { instanceId: INSTANCE, run };
    const { replies, isDrained } = await room.report(
      batch,
      room.settlement(0, 'revoked', { ...called, byAbsence: true, attempt: CALLED }),
      room.settlement(1, 'dead', { ...called, attempt: CALLED }),
      { ...base, n: 2, end: { kind: 'wait', delayMs: LEASE_MS, attempt: CALLED } },
      { ...base, n: 3, end: { kind: 'release' } },
      room.settlement(4, 'dead', { run }),
      room.settlement(5, 'dead', { run }),
      room.settlement(7, 'revoked', { run }),
      room.settlement(0, 'revoked', { run: other, requestId: 'R-other' }),
    );
    expect(replies).toEqual([
      'settled',
      'settled',
      'waiting',
      'released',
      'overtaken',
      'already',
      'unknown',
      'already',
    ]);
    expect(isDrained).toBe(false);
    const { counts, confirmedByAbsence } = await room.batch(batch);
    expect(counts).toEqual({ accepted: 7, revoked: 2, alreadyGone: 0, dead: 1, cancelled: 0 });
    expect(confirmedByAbsence).toBe(1);
    expect(await room.attempts(batch)).toEqual({ 2: '1 2 1 0 ', 4: `0 0 0 0 ${other.lockKey} ${other.token}` });
  });
});
