import { afterAll, describe, expect, it } from 'vitest';
import type { Certificate } from '../../../src/core/certificate.ts';
import type { Attempt } from '../../../src/core/decide.ts';
import { ChunkReader } from '../../../src/ledger/chunk-reader.ts';
import { directBatchOf } from '../../../src/ledger/direct-items.ts';
import { UNNAMED_RUN } from '../../../src/ledger/former-layouts.ts';
import { BatchStateCache } from '../../../src/queue/batch-state-cache.ts';
import { jobIdOf } from '../../../src/queue/contract.ts';
import { JobResolver, placedData, type ResolvedJob, type StartedJob } from '../../../src/queue/process/resolve-job.ts';
import { certificatesOf, LedgerRoom } from '../../ledger/ledger-room.ts';
import { dieCalling } from '../note-calls.ts';

const room = new LedgerRoom();
afterAll(() => room.cleanup());

type Placed = Exclude<ResolvedJob, { kind: 'stale' }>;

let accounts = 0;
/** A resolver of an account that no other test has; jobs that are not stale. */
function open(): { resolver: JobResolver; resolve: (started: StartedJob) => Promise<Placed>; direct: string } {
  accounts += 1;
  const account = `account-${accounts}`;
  const states = new BatchStateCache(room.ledger);
  const resolver = new JobResolver(room.ledger, new ChunkReader(room.ledger), states, account);
  const resolve = async (started: StartedJob): Promise<Placed> => {
    const resolved = await resolver.resolve(started);
    if (resolved.kind === 'stale') throw new Error('the job is stale');
    return resolved;
  };
  return { resolver, resolve, direct: directBatchOf(account) };
}
const run = { kind: 'job', lockKey: 'lock', token: 'token' } as const;
const start = (data: unknown, attemptsStarted = 1, id = 'job'): StartedJob => {
  return { id, data, attemptsStarted, isUrgent: false, run };
};
const [A, B] = certificatesOf(2) as [Certificate, Certificate];

describe('the item of a job', () => {
  it('is the one of its batch, when that has this certificate under this number', async () => {
    const { resolve } = open();
    const items = certificatesOf(3);
    const batch = await room.batchOf(items);
    const resolved = await resolve(start({ v: 1, ...items[2], batch, n: 2 }));
    const item = { batch, n: 2, action: 'delete', certificate: items[2], isUrgent: false, run };
    expect(resolved).toEqual({ kind: 'item', item });
  });

  it('is a new one of the direct batch, when the job names no batch or one that is not ours', async () => {
    const { resolve, direct } = open();
    const batch = await room.batchOf(certificatesOf(2));
    const foreign: [string, object][] = [
      ['none', {}],
      ['unknown', { batch: 'theirs', n: 0 }],
      ['beyond', { batch, n: 2 }],
      ['named', { batch: 'theirs' }],
    ];
    for (const [n, [id, named]] of foreign.entries()) {
      const resolved = await resolve(start({ v: 1, ...A, ...named }, 1, id));
      expect(resolved).toMatchObject({ kind: 'item', item: { batch: direct, n, certificate: A, key: id } });
      // Started again, after a crash: the same one.
      expect(await resolve(start({ v: 1, ...A, ...named }, 1, id))).toEqual(resolved);
    }
    expect((await room.batch(batch)).counts.accepted).toBe(2);
  });

  it('is another one where a job id is used again for another certificate', async () => {
    const { resolve, direct } = open();
    const first = await resolve(start({ v: 1, ...A }));
    const second = await resolve(start({ v: 1, ...B }));
    expect([first.item.n, second.item.n]).toEqual([0, 1]);
    expect(second.item.key).not.toBe(first.item.key);
    expect(await resolve(start({ v: 1, ...A }))).toEqual(first);
    expect(await resolve(start({ v: 1, ...B }))).toEqual(second);
    expect(await room.ledger.direct.certificate(direct, 0)).toEqual(A);
    expect(await room.ledger.direct.certificate(direct, 1)).toEqual(B);
  });

  it('of a job that we fed can only end dead when its batch is gone', async () => {
    const { resolve, direct } = open();
    const batch = await room.batchOf(certificatesOf(1));
    await room.ledger.batches.change(batch, 'cancel');
    await room.ledger.items.cancel(batch, [{ n: 0 }]);
    expect(await room.ledger.batches.forget(batch)).toBe('forgotten');
    const resolved = await resolve(start({ v: 1, ...A, batch, n: 0 }, 1, jobIdOf(batch, 0, 0)));
    expect(resolved).toMatchObject({
      kind: 'unusable',
      code: 'unknown-batch',
      item: { batch: direct, certificate: A },
    });
  });

  it('is never one of another certificate', async () => {
    const { resolve, direct } = open();
    const batch = await room.batchOf(certificatesOf(2));
    const resolved = await resolve(start({ v: 1, ...A, batch, n: 1 }));
    expect(resolved).toMatchObject({
      kind: 'unusable',
      code: 'malformed-job',
      item: { batch: direct, certificate: A },
    });
  });

  it('of a job that was remembered is the one it was adopted as', async () => {
    const { resolve, direct } = open();
    await resolve(start({ v: 1, ...A }));
    const again = { v: 1, ...A, batch: direct, n: 0 };
    expect(await resolve(start(again))).toMatchObject({ item: { batch: direct, n: 0, key: 'job' } });
    expect(await resolve(start({ ...again, key: 'key' }))).toMatchObject({ item: { n: 0, key: 'key' } });
    expect(await resolve(start({ ...again, ...B }, 1, 'liar'))).toMatchObject({ kind: 'unusable' });
  });

  it('can only end dead where the job names a number that no item can have', async () => {
    const { resolve, direct } = open();
    await resolve(start({ v: 1, ...A }));
    for (const n of [2 ** 32, 2 ** 40]) {
      const refused = { n, key: `far-${n}`, code: 'c', message: 'm', data: {} };
      for (const data of [{ v: 1, ...A, batch: direct, n }, { refused }]) {
        const resolved = await resolve(start(data, 1, `far-${n}`));
        expect(resolved).toMatchObject({ kind: 'unusable', code: 'malformed-job' });
      }
    }
  });

  it('of malformed data is kept with the data, cut where it is long', async () => {
    const { resolve, direct } = open();
    const resolved = await resolve(start({ v: 1, text: 'x'.repeat(5_000) }));
    expect(resolved).toMatchObject({ kind: 'unusable', code: 'malformed-job', item: { batch: direct } });
    expect(resolved.item.certificate.deviceSn.length).toBeLessThanOrEqual(503);
    expect(await resolve(start(undefined, 1, 'undefined'))).toMatchObject({ kind: 'unusable' });
  });
});

describe('what a job of an older version says of its past', () => {
  const told: Attempt = { failures: 2, calls: 3, effectUnknown: true };
  const nothing: Attempt = { failures: 0, calls: 0, effectUnknown: false };

  /** A batch with one item, as a version with layout 1 or 2 left it, of which a call was noted by a run. */
  async function old(layout: 1 | 2, noted?: string): Promise<string> {
    const batch = await room.batchOf([A, ...certificatesOf(1)]);
    const { record, notes, departed } = room.ledger.keys.of(batch);
    if (layout === 1) await room.redis.hdel(record, 'layout');
    else await room.redis.hset(record, 'layout', 2);
    if (noted !== undefined)
      await (layout === 1 ? room.redis.setbit(departed, 0, 1) : room.redis.hset(notes, '0', noted));
    return batch;
  }

  /** What the next call of the item hears of its past, once its job was read. */
  async function heard(batch: string, trail: object, id = jobIdOf(batch, 0, 0)): Promise<Attempt> {
    const { resolve } = open();
    const resolved = await resolve(start({ v: 1, ...A, batch, n: 0, trail }, 5, id));
    expect(resolved).toMatchObject({ kind: 'item', item: { batch, n: 0 } });
    const verdict = await dieCalling(room.ledger, batch, 0, A.instanceId);
    if (verdict.kind !== 'go') throw new Error(`the verdict is ${verdict.kind}`);
    return verdict.attempt;
  }

  it('is what the run wrote down that noted the last call', async () => {
    expect(await heard(await old(2, 'before'), { ...told, run: 'before' })).toEqual(told);
    const sure = { ...told, effectUnknown: false };
    expect(await heard(await old(2, 'before'), { ...sure, run: 'before' })).toEqual(sure);
    // Another run has noted one since, and told nothing.
    expect(await heard(await old(2, 'other'), { ...sure, run: 'before' })).toEqual(told);
  });

  it('is read as layout 1 wrote it, which counted starts: one more than it tells of ended without a word', async () => {
    const sure = { failures: 0, calls: 3, effectUnknown: false };
    expect(await heard(await old(1, UNNAMED_RUN), { ...sure, starts: 4 })).toEqual(sure);
    expect(await heard(await old(1, UNNAMED_RUN), { ...sure, starts: 3 })).toEqual({ ...sure, effectUnknown: true });
    // It took a service that failed to have done nothing.
    expect(await heard(await old(1, UNNAMED_RUN), { ...told, effectUnknown: false, starts: 4 })).toEqual(told);
  });

  it('is nothing where no call was noted, where it is no job of ours, or where this version made the batch', async () => {
    const trail = { ...told, run: 'before' };
    expect(await heard(await old(2), trail)).toEqual(nothing);
    expect(await heard(await room.batchOf([A, ...certificatesOf(1)]), trail)).toEqual(nothing);
    expect(await heard(await old(2), trail, 'theirs')).toEqual(nothing);
    const { resolve, direct } = open();
    const { item } = await resolve(start({ v: 1, ...A, trail }));
    expect(await dieCalling(room.ledger, direct, item.n, A.instanceId)).toEqual({ kind: 'go', attempt: nothing });
  });

  it('is of an item that was retried since as another job: it is stale', async () => {
    const batch = await old(2, 'before');
    await room.redis.hset(room.ledger.keys.of(batch).retries, '0', 1);
    const { resolver } = open();
    const of = (retries: number): Promise<ResolvedJob> =>
      resolver.resolve(start({ v: 1, ...A, batch, n: 0 }, 1, jobIdOf(batch, 0, retries)));
    expect(await of(0)).toEqual({ kind: 'stale' });
    expect(await of(1)).toMatchObject({ kind: 'item' });
  });
});

describe('the place of a job without a batch', () => {
  it('goes into its data once, and makes the same item of it again', async () => {
    const { resolve } = open();
    for (const [id, data] of Object.entries({ sound: { v: 1, ...A }, text: 'text', other: { v: 1, ...A, n: 3 } })) {
      const resolved = await resolve(start(data, 1, id));
      const placed = placedData(data, resolved);
      const again = await resolve(start(placed, 2, id));
      expect(again).toEqual(resolved);
      expect(placedData(placed, again)).toBeUndefined();
    }
  });

  it('is not one that somebody else claims', async () => {
    const { resolve, direct } = open();
    await resolve(start({ v: 1, ...A }, 1, 'theirs'));
    const refused = { n: 0, key: 'theirs', code: 'malformed-job', message: 'm', data: { v: 1, ...A } };
    const claims = [refused, { ...refused, key: 'liar-1' }, { ...refused, n: 7, key: 'liar-2' }];
    for (const [at, claim] of claims.entries()) {
      const id = `liar-${at}`;
      const resolved = await resolve(start({ refused: claim }, 1, id));
      expect(resolved).toMatchObject({ kind: 'unusable', item: { batch: direct } });
      expect(resolved.item.key).toMatch(new RegExp(`^${id}#`));
      expect(resolved.item.n).not.toBe(0);
    }
    // Nor one that was taken in under the name that it gives itself.
    const resolved = await resolve(start({ refused }, 1, 'theirs'));
    expect(resolved).toMatchObject({ kind: 'unusable', code: 'malformed-job' });
    expect(resolved.item.n).not.toBe(0);
  });
});
