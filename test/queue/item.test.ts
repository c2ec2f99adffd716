import { afterAll, describe, expect, it } from 'vitest';
import { ChunkReader } from '../../src/ledger/chunk-reader.ts';
import { forgetBatch } from '../../src/ledger/forget.ts';
import { BatchStates } from '../../src/queue/batch-states.ts';
import { jobIdOf, NO_TRAIL } from '../../src/queue/contract.ts';
import { ItemLocator, standingBatchOf } from '../../src/queue/item.ts';
import { certificatesOf, depart, LedgerRoom } from '../ledger/ledger-room.ts';

const room = new LedgerRoom();
afterAll(() => room.cleanup());

let accounts = 0;
/** A locator of an account that no other test has. */
function open(): { locator: ItemLocator; standing: string } {
  accounts += 1;
  const account = `account-${accounts}`;
  const states = new BatchStates(room.ledger);
  return {
    locator: new ItemLocator(room.ledger, new ChunkReader(room.ledger), states, account),
    standing: standingBatchOf(account),
  };
}
const start = (
  data: unknown,
  attemptsStarted = 1,
  id = 'job',
): { id: string; data: unknown; attemptsStarted: number } => ({
  id,
  data,
  attemptsStarted,
});
const [A, B] = certificatesOf(2);

describe('the item of a job', () => {
  it('is the one of its batch, when that has this certificate under this number', async () => {
    const { locator } = open();
    const items = certificatesOf(3);
    const batch = await room.batchOf(items);
    const located = await locator.locate(start({ v: 1, ...items[2], batch, n: 2 }));
    const attempt = { failures: 0, calls: 0, effectUnknown: false };
    expect(located).toEqual({
      kind: 'item',
      item: { batch, n: 2, certificate: items[2], attempt, history: [], retries: 0 },
    });
    const again = await locator.locate(start({ v: 1, ...items[2], batch, n: 2 }, 1, jobIdOf(batch, 2, 3)));
    expect(again.item.retries).toBe(3);
  });

  it('is a new one of the standing batch, when the job names no batch or one that is not ours', async () => {
    const { locator, standing } = open();
    const batch = await room.batchOf(certificatesOf(2));
    const foreign: [string, object][] = [
      ['none', {}],
      ['unknown', { batch: 'theirs', n: 0 }],
      ['beyond', { batch, n: 2 }],
      ['named', { batch: 'theirs' }],
    ];
    for (const [n, [id, named]] of foreign.entries()) {
      const located = await locator.locate(start({ v: 1, ...A, ...named }, 1, id));
      expect(located).toMatchObject({ kind: 'item', item: { batch: standing, n, certificate: A, adoptedFrom: id } });
      // Started again, after a crash: the same one.
      expect(await locator.locate(start({ v: 1, ...A, ...named }, 1, id))).toEqual(located);
    }
    expect((await room.batch(batch)).counts.accepted).toBe(2);
  });

  it('is another one where a job id is used again for another certificate', async () => {
    const { locator, standing } = open();
    const first = await locator.locate(start({ v: 1, ...A }));
    const second = await locator.locate(start({ v: 1, ...B }));
    expect([first.item.n, second.item.n]).toEqual([0, 1]);
    expect(second.item.adoptedFrom).not.toBe(first.item.adoptedFrom);
    expect(await locator.locate(start({ v: 1, ...A }))).toEqual(first);
    expect(await locator.locate(start({ v: 1, ...B }))).toEqual(second);
    expect(await room.ledger.adoptedCertificate(standing, 0)).toEqual(A);
    expect(await room.ledger.adoptedCertificate(standing, 1)).toEqual(B);
  });

  it('of a job that we fed can only end dead when its batch is gone', async () => {
    const { locator, standing } = open();
    const batch = await room.batchOf(certificatesOf(1));
    await room.ledger.change(batch, 'cancel');
    await room.ledger.cancelItems(batch, [0]);
    expect(await forgetBatch(room.redis, room.ledger, batch)).toBe('forgotten');
    const located = await locator.locate(start({ v: 1, ...A, batch, n: 0 }, 1, jobIdOf(batch, 0, 0)));
    expect(located).toMatchObject({
      kind: 'unusable',
      code: 'unknown-batch',
      item: { batch: standing, certificate: A },
    });
  });

  it('is never one of another certificate', async () => {
    const { locator, standing } = open();
    const batch = await room.batchOf(certificatesOf(2));
    const located = await locator.locate(start({ v: 1, ...A, batch, n: 1 }));
    expect(located).toMatchObject({
      kind: 'unusable',
      code: 'malformed-job',
      item: { batch: standing, certificate: A },
    });
  });

  it('of a job that was remembered is the one it was adopted as', async () => {
    const { locator, standing } = open();
    await locator.locate(start({ v: 1, ...A }));
    const again = { v: 1, ...A, batch: standing, n: 0 };
    expect(await locator.locate(start(again))).toMatchObject({ item: { batch: standing, n: 0, adoptedFrom: 'job' } });
    expect(await locator.locate(start({ ...again, key: 'key' }))).toMatchObject({ item: { n: 0, adoptedFrom: 'key' } });
    expect(await locator.locate(start({ ...again, ...B }, 1, 'liar'))).toMatchObject({ kind: 'unusable' });
  });

  it('of malformed data is kept with the data, cut where it is long', async () => {
    const { locator, standing } = open();
    const located = await locator.locate(start({ v: 1, text: 'x'.repeat(5_000) }));
    expect(located).toMatchObject({ kind: 'unusable', code: 'malformed-job', item: { batch: standing } });
    expect(located.item.certificate.deviceSn.length).toBeLessThanOrEqual(503);
    expect(await locator.locate(start(undefined, 1, 'undefined'))).toMatchObject({ kind: 'unusable' });
  });
});

describe('a start that nobody wrote down', () => {
  const trailOf = (starts: number): object => ({ v: 1, ...A, trail: { ...NO_TRAIL, starts, failures: 2, calls: 3 } });
  it.each([
    ['the first start', { v: 1, ...A }, 1, false],
    ['a second one, without a word of the first', { v: 1, ...A }, 2, true],
    ['one more than is written', trailOf(4), 5, false],
    ['two more than are written', trailOf(4), 6, true],
    ['a crash that was noted before', { v: 1, ...A, trail: { starts: 4, effectUnknown: true } }, 5, true],
  ])('of an item whose call left is told from %s', async (_, data, attemptsStarted, effectUnknown) => {
    const { locator, standing } = open();
    const { item: waiting } = await locator.locate(start({ v: 1, ...A }));
    await depart(room.redis, room.ledger, standing, waiting.n);
    const { item } = await locator.locate(start({ ...data, batch: standing, n: waiting.n }, attemptsStarted));
    expect(item.attempt.effectUnknown).toBe(effectUnknown);
  });

  it('of a job that is new, since Redis lost the one before, is told all the same', async () => {
    const { locator, standing } = open();
    const { item } = await locator.locate(start({ v: 1, ...A }));
    expect((await locator.locate(start({ v: 1, ...A }))).item.attempt.effectUnknown).toBe(false);
    await depart(room.redis, room.ledger, standing, item.n);
    expect((await locator.locate(start({ v: 1, ...A }))).item.attempt.effectUnknown).toBe(true);
  });

  it('of an item that only waited says nothing', async () => {
    const { locator } = open();
    const { item } = await locator.locate(start({ v: 1, ...A }, 2));
    expect(item.attempt.effectUnknown).toBe(false);
  });
});
