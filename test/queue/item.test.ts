import { afterAll, describe, expect, it } from 'vitest';
import { FIRST_ATTEMPT } from '../../src/core/decide.ts';
import { ChunkReader } from '../../src/ledger/chunk-reader.ts';
import { forgetBatch } from '../../src/ledger/forget.ts';
import { UNNAMED_RUN } from '../../src/ledger/ledger.ts';
import { BatchStates } from '../../src/queue/batch-states.ts';
import { jobIdOf } from '../../src/queue/contract.ts';
import { ItemLocator, placedData, standingBatchOf, type Located } from '../../src/queue/item.ts';
import { certificatesOf, jobless, LedgerRoom } from '../ledger/ledger-room.ts';

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
      item: { batch, n: 2, certificate: items[2], attempt, told: '', retries: 0 },
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
    await room.ledger.cancelItems(batch, jobless(0));
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

describe('what a job says that its item has been through', () => {
  const trail = { failures: 2, calls: 3, effectUnknown: true, run: 'before' };
  const past = (data: object): Promise<Located> => locator.locate(start({ v: 1, ...A, ...data }, 5));
  const { locator, standing } = open();
  const attempt = { failures: 2, calls: 3, effectUnknown: true };

  it('is what a run wrote down', async () => {
    const { item } = await locator.locate(start({ v: 1, ...A }));
    expect(await past({ batch: standing, n: item.n, trail })).toMatchObject({ item: { attempt, told: 'before' } });
  });

  it('is read as an older version wrote it, which counted starts: one more than it tells of ended without a word', async () => {
    const { item } = await locator.locate(start({ v: 1, ...A }));
    const of = (starts: number): object => ({ batch: standing, n: item.n, trail: { ...attempt, starts } });
    expect(await past(of(4))).toMatchObject({ item: { attempt, told: UNNAMED_RUN } });
    expect(await past(of(3))).toMatchObject({ item: { attempt, told: '' } });
    // It took a service that failed to have done nothing.
    const sure = { ...attempt, effectUnknown: false };
    const old = (told: object): object => ({ batch: standing, n: item.n, trail: { ...told, starts: 4 } });
    expect(await past(old(sure))).toMatchObject({ item: { attempt } });
    const throttled = { ...sure, failures: 0 };
    expect(await past(old(throttled))).toMatchObject({ item: { attempt: throttled } });
  });

  it('is nothing where the ledger meets it for the first time, or where it is no job of ours', async () => {
    const nothing = { attempt: FIRST_ATTEMPT, told: '' };
    expect(await past({ trail })).toMatchObject({ item: nothing });
    const batch = await room.batchOf([A ?? { instanceId: '', caSn: '', deviceSn: '' }]);
    expect(await past({ batch, n: 0, trail })).toMatchObject({ item: { ...nothing, batch } });
    const own = await locator.locate(start({ v: 1, ...A, batch, n: 0, trail }, 5, jobIdOf(batch, 0, 0)));
    expect(own).toMatchObject({ item: { attempt, batch } });
  });
});

describe('the place of a job without a batch', () => {
  it('goes into its data once, and makes the same item of it again', async () => {
    const { locator } = open();
    for (const [id, data] of Object.entries({ sound: { v: 1, ...A }, text: 'text', other: { v: 1, ...A, n: 3 } })) {
      const located = await locator.locate(start(data, 1, id));
      const placed = placedData(data, located);
      const again = await locator.locate(start(placed, 2, id));
      expect(again).toEqual(located);
      expect(placedData(placed, again)).toBeUndefined();
    }
  });

  it('is not one that somebody else claims', async () => {
    const { locator, standing } = open();
    await locator.locate(start({ v: 1, ...A }, 1, 'theirs'));
    const refused = { n: 0, key: 'theirs', code: 'malformed-job', message: 'm', data: { v: 1, ...A } };
    const claims = [refused, { ...refused, key: 'liar-1' }, { ...refused, n: 7, key: 'liar-2' }];
    for (const [at, claim] of claims.entries()) {
      const id = `liar-${at}`;
      const located = await locator.locate(start({ refused: claim }, 1, id));
      expect(located).toMatchObject({ kind: 'unusable', item: { batch: standing, adoptedFrom: id } });
      expect(located.item.n).not.toBe(0);
    }
  });
});
