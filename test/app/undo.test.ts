import { afterAll, expect, it } from 'vitest';
import { checkUndo, undoBatch } from '../../src/app/undo.ts';
import { certificatesOf } from '../ledger/ledger-room.ts';
import { AppRoom } from './app-room.ts';

const room = new AppRoom();
afterAll(() => room.cleanup());

it('activates what a batch has inactivated, and nothing else', async () => {
  const store = await room.store();
  const items = certificatesOf(4, ['post-cn-a']);
  const batch = await room.batchOf(items, 'bulk', 'inactivate');
  const ends = ['inactivated', 'already-inactive', 'dead', 'inactivated'] as const;
  for (const [n, outcome] of ends.entries()) {
    expect(await checkUndo(store, batch)).toMatchObject({ kind: 'unfinished', state: 'running', pending: 4 - n });
    const item = items[n];
    if (item !== undefined) await room.end(batch, n, outcome, item, 'ParameterCheckFailed');
  }
  expect(await checkUndo(store, batch)).toMatchObject({
    kind: 'undoable',
    summary: { accepted: 2, rejected: 0 },
    left: { deleted: 0, alreadyInactive: 1, keptActive: 0, dead: 1 },
    undoneBy: [],
  });
  const request = { priority: 'bulk', reason: 'wrong list' } as const;
  const unsure = await undoBatch(store, batch, { ...request, confirm: async () => Promise.resolve(3) });
  expect(unsure).toMatchObject({ kind: 'unconfirmed', confirmed: 3 });
  const undone = await undoBatch(store, batch, {
    ...request,
    confirm: async ({ accepted }) => Promise.resolve(accepted),
  });
  expect(undone).toMatchObject({ kind: 'running', submitted: { accepted: 2 } });
  const id = undone.kind === 'running' ? undone.submitted.batch : '';
  expect(await room.batch(id)).toMatchObject({ action: 'activate', reason: `wrong list (undoes ${batch})` });
  expect(await room.ledger.items.chunk(id, 0)).toEqual([items[0], items[3]]);
  // Twice is once, while it is at work.
  const again = await undoBatch(store, batch, {
    ...request,
    confirm: async ({ accepted }) => Promise.resolve(accepted),
  });
  expect(again).toMatchObject({ kind: 'at-work', submitted: { batch: id } });
  const undoneBy = [{ id, state: 'running', counts: { accepted: 2 } }];
  expect(await checkUndo(store, batch)).toMatchObject({ kind: 'undoable', undoneBy });
});

it('names the batch that it undoes, also in a reason that is asked for, and takes a blank one for none', async () => {
  const open = await room.store();
  const store = { ...open, config: { ...open.config, audit: { requireReason: true } } };
  const items = certificatesOf(1, ['post-cn-a']);
  const batch = await room.batchOf(items, 'bulk', 'inactivate');
  const [item] = items;
  if (item !== undefined) await room.end(batch, 0, 'inactivated', item);
  const request = { priority: 'bulk', confirm: async () => Promise.resolve(1) } as const;
  expect(await undoBatch(store, batch, { ...request, reason: ' ' })).toEqual({ kind: 'reason-required' });
  const unsaid = { ...request, askReason: async () => Promise.resolve(' ') };
  expect(await undoBatch(store, batch, unsaid)).toEqual({ kind: 'reason-required' });
  const undone = await undoBatch(store, batch, { ...request, askReason: async () => Promise.resolve('ticket 7') });
  const id = undone.kind === 'running' ? undone.submitted.batch : '';
  expect(await room.batch(id)).toMatchObject({ reason: `ticket 7 (undoes ${batch})` });
  expect(await checkUndo(store, batch)).toMatchObject({ undoneBy: [{ id }] });
});

it('says what cannot be undone', async () => {
  const store = await room.store();
  const deleting = await room.batchOf(certificatesOf(1, ['post-cn-a']));
  expect(await checkUndo(store, deleting)).toEqual({ kind: 'other-action', action: 'delete' });
  expect(await checkUndo(store, 'none')).toEqual({ kind: 'no-batch' });
  // It had nothing to do, and its instance is no longer in the configuration.
  const items = certificatesOf(2, ['post-cn-a', 'post-cn-gone']);
  for (const [n, outcome, kind] of [
    [0, 'already-inactive', 'empty'],
    [1, 'inactivated', 'bad-rows'],
  ] as const) {
    const item = items[n];
    if (item === undefined) continue;
    const batch = await room.batchOf([item], 'bulk', 'inactivate');
    await room.end(batch, 0, outcome, item);
    expect(await checkUndo(store, batch)).toMatchObject({ kind, summary: { accepted: 0, rejected: n } });
  }
});
