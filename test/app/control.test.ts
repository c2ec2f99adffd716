import { afterAll, expect, it } from 'vitest';
import { changeBatch, forget } from '../../src/app/control.ts';
import { discardDeadLetters, listDeadLetters, retryDeadLetters } from '../../src/app/dead-letters.ts';
import { lookAtAll, lookAtBatch } from '../../src/app/status.ts';
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
  expect(await lookAtBatch(store, batch)).toMatchObject({ condition: 'held', isDone: false, unattended: [] });
  expect(await lookAtAll(store)).toMatchObject({ condition: 'held' });
  expect(await changeBatch(store, batch, 'resume')).toMatchObject({ kind: 'changed' });
  expect(await lookAtBatch(store, batch)).toMatchObject({ condition: 'fine', unattended: ['default'] });
  expect(await changeBatch(store, 'none', 'pause')).toEqual({ kind: 'no-batch' });
  expect(await lookAtBatch(store, 'none')).toBeUndefined();
});

it('never cancels a direct batch', async () => {
  const store = await room.store();
  const [item] = certificatesOf(1);
  if (item === undefined) throw new Error('there is no item');
  await room.ledger.direct.adopt('direct-default', 'job', item);
  expect(await changeBatch(store, 'direct-default', 'cancel')).toEqual({ kind: 'is-direct' });
  expect(await room.batch('direct-default')).toMatchObject({ state: 'running' });
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
  expect(await lookAtBatch(store, batch)).toMatchObject({ condition: 'some-dead', isDone: true });
  // Its instance is in no account of the configuration.
  expect(await retryDeadLetters(store, { batch })).toEqual({ kind: 'retried', retried: 0, cancelled: 0, unknown: 1 });
  expect(await forget(store, batch)).toBe('has-letters');
  expect(await discardDeadLetters(store, { batch, code: 'Another' })).toEqual({ kind: 'discarded', discarded: 0 });
  expect(await discardDeadLetters(store, { all: true })).toEqual({ kind: 'discarded', discarded: 1 });
  expect(await forget(store, batch)).toBe('forgotten');
});
