import { afterAll, expect, it } from 'vitest';
import { checkManifest, submitManifest, type SubmitRequest } from '../../src/app/submit.ts';
import { certificatesOf } from '../ledger/ledger-room.ts';
import { AppRoom, manifestOf } from './app-room.ts';

const room = new AppRoom();
afterAll(() => room.cleanup());

it('runs a manifest once, and joins the one that runs', async () => {
  const store = await room.store();
  const items = certificatesOf(3);
  const first = await submitManifest(store, manifestOf([...items, ...items.slice(0, 1)]), { priority: 'bulk' });
  expect(first).toMatchObject({ kind: 'running', submitted: { accepted: 3, duplicates: 1, rejected: 0 } });
  const batch = first.kind === 'running' ? first.submitted.batch : '';
  expect(await room.batch(batch)).toMatchObject({ state: 'running', counts: { accepted: 3 } });
  const second = await submitManifest(store, manifestOf(items), { priority: 'bulk' });
  expect(second).toMatchObject({ kind: 'at-work', submitted: { batch, accepted: 0, duplicates: 3 } });
});

it.each<[string, number, number, Partial<SubmitRequest>, object]>([
  ['has a bad row', 3, 1, {}, { kind: 'bad-rows', summary: { accepted: 3, rejected: 1 } }],
  ['has nothing but bad rows', 0, 2, { skipInvalid: true }, { kind: 'empty', summary: { rejected: 2 } }],
  ['is empty', 0, 0, {}, { kind: 'empty', summary: { accepted: 0 } }],
  ['is larger than confirmed', 3, 0, { confirm: async () => 2 }, { kind: 'unconfirmed', confirmed: 2 }],
  ['is confirmed by no number', 3, 0, { confirm: async () => Number.NaN }, { kind: 'unconfirmed' }],
])('leaves nothing behind of a manifest that %s', async (_, good, bad, request, expected) => {
  const before = await room.keysWith('');
  const rows = manifestOf(certificatesOf(good), bad);
  expect(await submitManifest(await room.store(), rows, { priority: 'bulk', ...request })).toMatchObject(expected);
  expect((await room.keysWith('')).toSorted()).toEqual(before.toSorted());
});

it('leaves nothing behind when the question for the number fails', async () => {
  const before = await room.keysWith('');
  const failure = new Error('there is no terminal');
  const request = { priority: 'bulk', confirm: () => Promise.reject(failure) } as const;
  await expect(submitManifest(await room.store(), manifestOf(certificatesOf(3)), request)).rejects.toBe(failure);
  expect((await room.keysWith('')).toSorted()).toEqual(before.toSorted());
});

it('asks for the number of a manifest that may run, and of no other', async () => {
  const store = await room.store();
  const asked: number[] = [];
  const confirm = async ({ accepted }: { readonly accepted: number }): Promise<number> => {
    asked.push(accepted);
    return accepted;
  };
  await submitManifest(store, manifestOf(certificatesOf(4), 1), { priority: 'bulk', confirm });
  const request = { priority: 'bulk', confirm, skipInvalid: true } as const;
  expect(await submitManifest(store, manifestOf(certificatesOf(5), 1), request)).toMatchObject({ kind: 'running' });
  expect(asked).toEqual([5]);
});

it('checks a manifest without a trace', async () => {
  const { config } = await room.store();
  const before = await room.keysWith('');
  const check = async (bad: number, skipInvalid: boolean): Promise<string> =>
    (await checkManifest(config, manifestOf(certificatesOf(2), bad), skipInvalid)).kind;
  expect([await check(0, false), await check(1, false), await check(1, true)]).toEqual([
    'acceptable',
    'bad-rows',
    'acceptable',
  ]);
  expect((await room.keysWith('')).toSorted()).toEqual(before.toSorted());
});
