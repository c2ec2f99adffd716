import { afterAll, describe, expect, it } from 'vitest';
import { FIRST_ATTEMPT } from '../../src/core/decide.ts';
import { UNNAMED_RUN } from '../../src/ledger/former-layouts.ts';
import { certificatesOf, LedgerRoom } from './ledger-room.ts';

const room = new LedgerRoom();
const { redis, ledger } = room;
afterAll(() => room.cleanup());

const PAST = { failures: 2, calls: 3, effectUnknown: false };

/** A batch as a version with that layout left it; the first wrote no number. */
async function batchOfLayout(layout: 1 | 2, items = 3): Promise<string> {
  const batch = await room.batchOf(certificatesOf(items));
  const { record } = ledger.keys.of(batch);
  if (layout === 1) await redis.hdel(record, 'layout');
  else await redis.hset(record, 'layout', layout);
  return batch;
}

describe('what layout 2 knew of an item', () => {
  it('is what its job says, where the job tells of the run that noted the last call', async () => {
    const batch = await batchOfLayout(2);
    await redis.hset(ledger.keys.of(batch).notes, { 0: 'told', 1: 'another', 2: 'lost' });
    expect(await ledger.former.areNoted(batch, [2, 0, 1])).toEqual([true, true, true]);
    await ledger.former.takeOver(batch, 0, PAST, 'told');
    await ledger.former.takeOver(batch, 1, PAST, 'told');
    // Found as lost: no job tells anything.
    await ledger.former.takeOver(batch, 2, FIRST_ATTEMPT, '');
    expect(await room.attempts(batch)).toEqual({ 0: '2 3 0 0 ', 1: '2 3 1 0 ', 2: '0 0 1 0 ' });
    expect(await ledger.former.areNoted(batch, [0, 1, 2])).toEqual([false, false, false]);
    const run = await room.job();
    expect(await room.note(batch, 0, run)).toBe('go 2 3 known');
    expect(await room.note(batch, 1, run)).toBe('go 2 3 unknown');
    expect(await room.note(batch, 2, run)).toBe('go 0 0 unknown');
  });

  it('is nothing where no call was noted, whatever a job claims', async () => {
    const batch = await batchOfLayout(2);
    await ledger.former.takeOver(batch, 0, { ...PAST, effectUnknown: true }, '');
    await redis.setbit(ledger.keys.of(batch).departed, 1, 1);
    await ledger.former.takeOver(batch, 1, PAST, UNNAMED_RUN);
    expect(await room.attempts(batch)).toEqual({});
    expect(await room.note(batch, 0, await room.job())).toBe('go');
  });

  it('is taken over once, and not over what is known since', async () => {
    const batch = await batchOfLayout(2);
    await redis.hset(ledger.keys.of(batch).notes, { 0: 'told', 1: 'told', 2: 'told' });
    await ledger.former.takeOver(batch, 0, PAST, 'told');
    await ledger.former.takeOver(batch, 0, { ...PAST, calls: 9 }, '');
    const run = await room.job();
    await room.note(batch, 1, run);
    await ledger.former.takeOver(batch, 1, PAST, '');
    await room.settle(batch, 2, 'revoked');
    await ledger.former.takeOver(batch, 2, PAST, 'told');
    expect(await room.attempts(batch)).toEqual({ 0: '2 3 0 0 ', 1: `0 0 0 0 ${run.lockKey} ${run.token}` });
  });
});

it('takes over the notes of layout 1, which had no names, as those of a job that tells of all its starts', async () => {
  const batch = await batchOfLayout(1);
  for (const n of [0, 1]) await redis.setbit(ledger.keys.of(batch).departed, n, 1);
  expect(await ledger.former.areNoted(batch, [2, 1, 0])).toEqual([false, true, true]);
  await ledger.former.takeOver(batch, 0, PAST, UNNAMED_RUN);
  await ledger.former.takeOver(batch, 1, PAST, '');
  await ledger.former.takeOver(batch, 2, PAST, UNNAMED_RUN);
  expect(await room.attempts(batch)).toEqual({ 0: '2 3 0 0 ', 1: '2 3 1 0 ' });
  expect(await ledger.former.areNoted(batch, [0, 1, 2])).toEqual([false, false, false]);
});

it('takes over nothing into a batch of its own layout', async () => {
  const batch = await room.batchOf(certificatesOf(1));
  await redis.hset(ledger.keys.of(batch).notes, { 0: 'told' });
  await redis.setbit(ledger.keys.of(batch).departed, 0, 1);
  await ledger.former.takeOver(batch, 0, PAST, '');
  expect(await room.attempts(batch)).toEqual({});
});

it('reads how often an older version retried an item', async () => {
  const batch = await batchOfLayout(2);
  await redis.hset(ledger.keys.of(batch).retries, { 1: '3' });
  expect([await ledger.former.retries(batch, 0), await ledger.former.retries(batch, 1)]).toEqual([0, 3]);
});

it('reads the dead letters of older versions, and retries them', async () => {
  const batch = await batchOfLayout(2, 1);
  await room.settle(batch, 0, 'dead');
  const { dead, ledger: stream } = ledger.keys.of(batch);
  const entry = (await redis.xrange(stream, '-', '+'))[0]?.[0] ?? '';
  const death = { code: 'Old', message: 'm', requestId: 'R', attempts: 4, at: 1 };
  const certificate = certificatesOf(1)[0];
  const letter = { ...certificate, ...death, effectUnknown: true, history: [{ ...death, code: 'Older', attempts: 2 }] };
  await redis.hset(dead, '0', `${entry} ${JSON.stringify(letter)}`);
  const found = [];
  for await (const one of ledger.deadLetters.list({ batch })) found.push(one);
  expect(found).toMatchObject([{ code: 'Old', calls: 4, history: [{ code: 'Older', calls: 2 }] }]);
  expect(found[0]).not.toHaveProperty('attempts');
  expect(await ledger.deadLetters.reopen(batch, [0])).toEqual(['reopened']);
  expect(await room.attempts(batch)).toEqual({ 0: '0 0 1 0 ' });
  expect(await room.rows(batch)).toEqual([]);
  const run = (await room.claimRuns(batch))(0);
  await room.settle(batch, 0, 'dead', { run });
  const again = [];
  for await (const one of ledger.deadLetters.list({ batch })) again.push(one);
  expect(again[0]?.history.map(({ code, calls }) => [code, calls])).toEqual([
    ['Older', 2],
    ['Old', 4],
  ]);
});
