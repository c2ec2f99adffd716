import { afterAll, beforeEach, expect, it } from 'vitest';
import { certificatesOf, LedgerRoom } from './ledger-room.ts';

const room = new LedgerRoom();
const BATCH = 'direct-fleet';
const [FIRST, SECOND] = certificatesOf(2) as [
  ReturnType<typeof certificatesOf>[0],
  ReturnType<typeof certificatesOf>[0],
];
beforeEach(async () => {
  const keys = await room.keysWith('');
  if (keys.length > 0) await room.redis.unlink(keys);
});
afterAll(() => room.cleanup());

it('gives a job one place, however often it asks, until it is settled', async () => {
  expect(await room.ledger.direct.adopt(BATCH, 'job', FIRST)).toEqual({ n: 0, isNew: true, key: 'job' });
  expect(await room.ledger.direct.adopt(BATCH, 'job', FIRST)).toEqual({ n: 0, isNew: false, key: 'job' });
  expect(await room.ledger.direct.adopt(BATCH, 'other', SECOND)).toEqual({ n: 1, isNew: true, key: 'other' });
  expect(await room.ledger.direct.certificate(BATCH, 1)).toEqual(SECOND);
  expect(await room.ledger.direct.certificate(BATCH, 2)).toBeUndefined();
  expect(await room.batch(BATCH)).toMatchObject({ state: 'running', priority: 'urgent', counts: { accepted: 2 } });
  await room.settle(BATCH, 0, 'revoked', { key: 'job' });
  expect(await room.ledger.direct.jobs(BATCH)).toEqual(new Map([['other', 1]]));
  expect(await room.ledger.direct.adopt(BATCH, 'job', FIRST)).toEqual({ n: 2, isNew: true, key: 'job' });
});

it('opens again when a job comes after its last item', async () => {
  await room.ledger.direct.adopt(BATCH, 'job', FIRST);
  await room.settle(BATCH, 0, 'revoked', { key: 'job' });
  expect((await room.batch(BATCH)).state).toBe('completed');
  await room.ledger.direct.adopt(BATCH, 'next', SECOND);
  expect(await room.batch(BATCH)).toMatchObject({ state: 'running', counts: { accepted: 2, revoked: 1 } });
  expect((await room.ledger.batches.active()).map(({ id }) => id)).toEqual([BATCH]);
});

it('stays paused when a job comes', async () => {
  await room.ledger.direct.adopt(BATCH, 'job', FIRST);
  await room.ledger.batches.change(BATCH, 'pause');
  await room.ledger.direct.adopt(BATCH, 'next', SECOND);
  expect((await room.batch(BATCH)).state).toBe('paused');
});

it('takes no job while some of it is still to be cancelled, since that would be revoked then', async () => {
  await room.ledger.direct.adopt(BATCH, 'job', FIRST);
  await room.ledger.batches.change(BATCH, 'cancel');
  await expect(room.ledger.direct.adopt(BATCH, 'next', SECOND)).rejects.toThrow('is being cancelled');
  expect(await room.ledger.direct.adopt(BATCH, 'job', FIRST)).toEqual({ n: 0, isNew: false, key: 'job' });
  await room.settle(BATCH, 0, 'cancelled', { key: 'job' });
  expect(await room.ledger.direct.adopt(BATCH, 'next', SECOND)).toEqual({ n: 1, isNew: true, key: 'next' });
  expect((await room.batch(BATCH)).state).toBe('running');
});
