import { afterAll, expect, it, vi } from 'vitest';
import type { AuditEntry } from '../../src/audit/entry.ts';
import { changeBatch, forget, forgetBefore } from '../../src/app/control.ts';
import { discardDeadLetters, listDeadLetters, retryDeadLetters } from '../../src/app/dead-letters.ts';
import { reportRows, type ReportRow } from '../../src/ledger/report.ts';
import { readOverview, readBatch } from '../../src/app/status.ts';
import { certificatesOf } from '../ledger/ledger-room.ts';
import { AppRoom } from './app-room.ts';

const room = new AppRoom();
afterAll(() => room.cleanup());

/** A batch of two, done: one revoked, one dead of the code. */
async function batchWithDead(): Promise<string> {
  const items = certificatesOf(2, ['post-cn-nobodys']);
  const batch = await room.batchOf(items);
  for (const [n, outcome] of (['revoked', 'dead'] as const).entries()) {
    const item = items[n];
    if (item !== undefined) await room.end(batch, n, outcome, item, 'ParameterCheckFailed');
  }
  return batch;
}

it('changes a batch where that has a meaning, and says where not', async () => {
  const store = await room.store();
  const batch = await room.batchOf(certificatesOf(2));
  expect(await changeBatch(store, batch, 'resume')).toEqual({ kind: 'refused', state: 'running' });
  expect(await changeBatch(store, batch, 'pause')).toMatchObject({ kind: 'changed' });
  expect(await readBatch(store, batch)).toMatchObject({ condition: 'held', isDone: false, unattended: [] });
  expect(await readOverview(store)).toMatchObject({ condition: 'held' });
  expect(await changeBatch(store, batch, 'resume')).toMatchObject({ kind: 'changed' });
  expect(await readBatch(store, batch)).toMatchObject({ condition: 'fine', unattended: ['default'] });
  expect(await changeBatch(store, 'none', 'pause')).toEqual({ kind: 'no-batch' });
  expect(await readBatch(store, 'none')).toBeUndefined();
});

it('cancels a direct batch, and pauses one of which nothing pends', async () => {
  const store = await room.store();
  const [item] = certificatesOf(1);
  if (item === undefined) throw new Error('there is no item');
  await room.ledger.direct.adopt('direct-default', 'job', item);
  expect(await changeBatch(store, 'direct-default', 'cancel')).toEqual({ kind: 'changed', state: 'cancelled' });
  await expect(room.ledger.direct.adopt('direct-default', 'next', item)).rejects.toThrow('is being cancelled');
  await room.ledger.items.cancel('direct-default', [{ n: 0, key: 'job' }]);
  expect(await readBatch(store, 'direct-default')).toMatchObject({ isDone: true, detail: { cancelled: 1 } });
  // The next one opens it again.
  await room.ledger.direct.adopt('direct-default', 'next', item);
  expect(await room.batch('direct-default')).toMatchObject({ state: 'running' });
  await room.end('direct-default', 1, 'revoked', item);
  expect(await room.batch('direct-default')).toMatchObject({ state: 'completed' });
  expect(await changeBatch(store, 'direct-default', 'cancel')).toEqual({ kind: 'refused', state: 'completed' });
  // Its next job would be called for.
  expect(await changeBatch(store, 'direct-default', 'pause')).toEqual({ kind: 'changed', state: 'paused' });
  expect(await changeBatch(store, 'direct-default', 'pause')).toEqual({ kind: 'refused', state: 'paused' });
  await room.ledger.direct.adopt('direct-default', 'waits', item);
  expect(await room.batch('direct-default')).toMatchObject({ state: 'paused', counts: { accepted: 3 } });
});

it('forgets what a direct batch has settled before a moment, and nothing else of it', async () => {
  const store = await room.store();
  const batch = 'direct-forgetful';
  const items = certificatesOf(6);
  const end = async (n: number, outcome: 'revoked' | 'dead'): Promise<void> => {
    const item = items[n];
    if (item === undefined) throw new Error('there is no item');
    await room.end(batch, n, outcome, item, 'ParameterCheckFailed');
  };
  for (const [n, item] of items.entries()) await room.ledger.direct.adopt(batch, `job-${n}`, item);
  for (const n of [0, 1]) await end(n, 'revoked');
  for (const n of [2, 3]) await end(n, 'dead');
  await room.ledger.deadLetters.discard(batch, [2]);
  const { ledger: stream, chunks } = room.ledger.keys.of(batch);
  const [last] = await room.redis.xrevrange(stream, '+', '-', 'COUNT', 1);
  const afterwards = Number.parseInt(last?.[0] ?? '', 10) + 1;
  await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(afterwards), 60_000);
  await end(4, 'revoked');
  const { counts } = await room.batch(batch);
  expect(await forgetBefore(store, batch, new Date(0))).toEqual({ kind: 'forgotten', items: 0 });
  expect(await forgetBefore(store, batch, new Date(afterwards))).toEqual({ kind: 'forgotten', items: 3 });
  expect(await forgetBefore(store, batch, new Date(afterwards))).toEqual({ kind: 'forgotten', items: 0 });
  expect(await room.batch(batch)).toMatchObject({ counts, forgotten: 3 });
  // One entry, with the first step that took something.
  const entries = (await onRecord(room)).filter((entry) => entry.batch === batch && entry.event === 'forget');
  expect(entries).toMatchObject([{ counts: { accepted: 6, revoked: 3, dead: 2 } }]);
  expect(entries[0]?.reason).toBe(`what was settled before ${new Date(afterwards).toISOString()}`);
  expect(await readBatch(store, batch)).toMatchObject({ detail: { forgotten: 3, pending: 1 } });
  expect((await room.redis.hkeys(chunks)).toSorted()).toEqual(['3', '4', '5']);
  const rows = await rowsOf(reportRows(room.ledger, batch));
  expect(rows.map(({ ordinal }) => ordinal)).toEqual([3, 4]);
  // The letter that was left can be retried, and then its old entry goes too.
  expect(await room.ledger.deadLetters.reopen(batch, [3])).toEqual(['reopened']);
  await end(3, 'revoked');
  const later = new Date(Date.now() + 60_000);
  expect(await forgetBefore(store, batch, later)).toEqual({ kind: 'forgotten', items: 2 });
  expect(await room.redis.hkeys(chunks)).toEqual(['5']);
  expect(await room.redis.xlen(stream)).toBe(0);
  expect(await room.redis.exists(room.ledger.keys.of(batch).superseded)).toBe(0);
  expect(await room.batch(batch)).toMatchObject({
    state: 'running',
    forgotten: 5,
    counts: { accepted: 6, revoked: 4, dead: 1 },
  });
  expect(await forgetBefore(store, 'direct-none', later)).toEqual({ kind: 'no-batch' });
  expect(await forgetBefore(store, await room.batchOf(certificatesOf(1)), later)).toEqual({ kind: 'not-direct' });
});

it('retries a job that its account refused only where its code is named', async () => {
  const store = await room.store();
  const batch = 'direct-refusing';
  for (const [n, item] of certificatesOf(2, ['post-cn-a']).entries()) {
    await room.ledger.direct.adopt(batch, `job-${n}`, item);
    await room.end(batch, n, 'dead', item, n === 0 ? 'unsigned-job' : 'ParameterCheckFailed');
  }
  const left = { kind: 'retried', retried: 1, cancelled: 0, unknown: 0, refused: 1 };
  expect(await retryDeadLetters(store, { batch })).toEqual(left);
  expect(await retryDeadLetters(store, { batch, code: 'unsigned-job' })).toMatchObject({ retried: 1, refused: 0 });
});

it('touches only the dead letters that are named, or all of them', async () => {
  const store = await room.store();
  const batch = await batchWithDead();
  for (const act of [retryDeadLetters, discardDeadLetters]) {
    expect(await act(store, {})).toEqual({ kind: 'nothing-selected' });
    expect(await act(store, { batch, all: true })).toEqual({ kind: 'contradictory' });
    expect(await act(store, { batch: 'none' })).toEqual({ kind: 'no-batch', batch: 'none' });
  }
  expect(await listDeadLetters(store, { batch: 'none' })).toEqual({ kind: 'no-batch', batch: 'none' });
  expect(await readBatch(store, batch)).toMatchObject({ condition: 'some-dead', isDone: true });
  // Its instance is in no account of the configuration.
  expect(await retryDeadLetters(store, { batch })).toEqual({
    kind: 'retried',
    retried: 0,
    cancelled: 0,
    unknown: 1,
    refused: 0,
  });
  expect(await forget(store, batch)).toBe('has-letters');
  expect(await discardDeadLetters(store, { batch, code: 'Another' })).toEqual({ kind: 'discarded', discarded: 0 });
  expect(await discardDeadLetters(store, { all: true })).toEqual({ kind: 'discarded', discarded: 1 });
  expect(await forget(store, batch)).toBe('forgotten');
});

async function rowsOf(rows: AsyncIterable<ReportRow>): Promise<ReportRow[]> {
  const all: ReportRow[] = [];
  for await (const row of rows) all.push(row);
  return all;
}

async function onRecord({ redis, ledger }: AppRoom): Promise<AuditEntry[]> {
  const entries = await redis.xrange(ledger.keys.audit.stream, '-', '+');
  return entries.map(([, [, entry = '']]) => JSON.parse(entry) as AuditEntry);
}
