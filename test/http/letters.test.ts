import { afterAll, beforeAll, expect, it } from 'vitest';
import { Ledger } from '../../src/ledger/ledger.ts';
import { KEY_PREFIX } from '../../src/queue/contract.ts';
import { certificates, manifestOf } from '../support/fleet.ts';
import { openHttpRoom, type Answered, type HttpRoom } from './http-room.ts';

const SIZE = 6;

let room: HttpRoom;
let batch: string;
beforeAll(async () => {
  room = await openHttpRoom();
  const items = certificates(SIZE, 70);
  const { json } = await room.ask(`/v1/batches?execute=true&confirm=${SIZE}`, {
    as: 'producer',
    method: 'POST',
    body: manifestOf(items),
    headers: { 'content-type': 'text/csv' },
  });
  batch = String(json['batch']);
  // As workers would leave them: four died, two of them in the new year.
  const ledger = new Ledger(await room.redis(), KEY_PREFIX);
  for (const [n, certificate] of items.slice(0, 4).entries()) {
    const at = Date.parse(n < 2 ? '2025-12-31T12:00:00Z' : '2026-01-01T12:00:00Z');
    const code = n === 3 ? 'Other' : 'GetCaNumError';
    const letter = JSON.stringify({ ...certificate, code, message: 'm', requestId: 'R', calls: 1, at });
    const attempt = { failures: 0, calls: 1, effectUnknown: false };
    const end = {
      kind: 'settle',
      outcome: 'dead',
      code,
      requestId: 'R',
      attempt,
      isUncalled: true,
      letter: letter.slice(0, -1),
    };
    const run = { kind: 'job', lockKey: `${KEY_PREFIX}:free`, token: 'none' };
    await ledger.items.report(batch, [{ n, instanceId: certificate.instanceId, run, end } as never]);
  }
});
afterAll(() => room.remove());

function act(what: 'retry' | 'discard', filter: object): Promise<Answered> {
  const headers = { 'content-type': 'application/json' };
  return room.ask(`/v1/dead/${what}`, { as: 'operator', method: 'POST', body: JSON.stringify(filter), headers });
}

it('dead letters are counted before anything is done, and only those that the filter lets through are touched', async () => {
  const listed = await room.ask(`/v1/batches/${batch}/dead`, { as: 'viewer' });
  expect(listed.json['letters']).toHaveLength(4);
  expect(await act('retry', { batch })).toMatchObject({ status: 200, json: { isDone: false, letters: 4 } });
  expect(await act('retry', { before: '2026-01-01T00:00:00Z' })).toMatchObject({ json: { isDone: false, letters: 2 } });
  expect(await act('retry', { from: '2026-01-01T00:00:00Z', code: 'Other' })).toMatchObject({ json: { letters: 1 } });
  expect(await act('retry', { batch, confirm: 3 })).toMatchObject({ status: 409, json: { expected: 4 } });
  expect(await act('discard', { code: 'Other', confirm: 1 })).toMatchObject({ json: { isDone: true, letters: 1 } });
  const retried = await act('retry', { batch, before: '2026-01-01T00:00:00Z', confirm: 2 });
  expect(retried).toMatchObject({ status: 200, json: { isDone: true, letters: 2 } });
  expect(await room.ask(`/v1/batches/${batch}`, { as: 'viewer' })).toMatchObject({ json: { dead: 2, pending: 4 } });
  const mine = (await room.audit()).filter(({ event }) => event.startsWith('dead-'));
  expect(mine.map(({ event, requestedBy }) => [event, requestedBy])).toEqual([
    ['dead-discard', 'operator'],
    ['dead-retry', 'operator'],
  ]);
});

it('a token for other accounts touches none of them', async () => {
  for (const filter of [{ all: true }, { code: 'GetCaNumError' }, { batch }]) {
    const headers = { 'content-type': 'application/json' };
    const asking = { as: 'narrow', method: 'POST', body: JSON.stringify(filter), headers } as const;
    expect(await room.ask('/v1/dead/retry', asking)).toMatchObject({ status: 403 });
  }
  for (const path of ['', '/report', '/dead'])
    expect(await room.ask(`/v1/batches/${batch}${path}`, { as: 'narrow' })).toMatchObject({ status: 403 });
  expect(await room.ask(`/v1/batches/${batch}/pause`, { as: 'narrow', method: 'POST' })).toMatchObject({ status: 403 });
  expect((await room.ask('/v1/batches', { as: 'narrow' })).json['batches']).toEqual([]);
});

it('the report streams as it is, and says what it is', async () => {
  const csv = await room.ask(`/v1/batches/${batch}/report`, { as: 'viewer' });
  expect(csv.headers.get('content-type')).toMatch(/^text\/csv/);
  expect(csv.text.split('\n')[0]).toMatch(/^ordinal,instanceId/);
  const lines = (await room.ask(`/v1/batches/${batch}/report?format=ndjson&outcome=dead`, { as: 'viewer' })).text;
  expect(
    lines
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { outcome: string }).outcome),
  ).toEqual(['dead', 'dead']);
  expect(await room.ask(`/v1/batches/${batch}/report?format=xls`, { as: 'viewer' })).toMatchObject({ status: 400 });
});
