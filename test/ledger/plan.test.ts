import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { Certificate } from '../../src/core/certificate.ts';
import { CHUNK_ITEMS, chunkOf, nextChunk, packChunk, unpackChunk } from '../../src/ledger/chunk.ts';
import { ChunkReader } from '../../src/ledger/chunk-reader.ts';
import { Plan } from '../../src/ledger/plan.ts';
import { PLAN_GOOD_MS } from '../../src/ledger/plan-use.ts';
import { certificatesOf, LedgerRoom } from './ledger-room.ts';

const room = new LedgerRoom();
afterAll(() => room.cleanup());

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
const certificate = fc.record({
  instanceId: fc.constantFrom('a', 'b', 'ä "'),
  caSn: fc.constantFrom('c', 'd'),
  deviceSn: text,
});

describe('a chunk', () => {
  it('gives back what was packed, in its order', () => {
    const property = fc.property(fc.array(certificate, { maxLength: 50 }), (items) => {
      expect(unpackChunk(packChunk(items))).toEqual(items);
    });
    fc.assert(property);
  });
});

describe('a plan', () => {
  it('numbers the items of interleaved instances as they came, and finds the chunks of each', async () => {
    const instances = ['post-cn-a', 'post-cn-b', 'post-cn-c'];
    // The last instance is in the last chunk only.
    const items = [...certificatesOf(2 * CHUNK_ITEMS + 10, instances.slice(0, 2)), ...certificatesOf(7, ['post-cn-c'])];
    const batch = await room.batchOf(items);
    const reader = new ChunkReader(room.ledger, 2);
    const read: (Certificate | undefined)[] = [];
    for (const n of items.keys()) read.push(await reader.certificate(batch, n));
    expect(read).toEqual(items);
    expect(await reader.certificate(batch, items.length)).toBeUndefined();
    const lanes = await room.ledger.lanes.of(batch);
    const found = Object.fromEntries(lanes.map(({ instanceId, chunks }) => [instanceId, chunks]));
    expect(found).toEqual({ 'post-cn-a': [[0, 2]], 'post-cn-b': [[0, 2]], 'post-cn-c': [[2, 2]] });
    expect((await room.batch(batch)).counts.accepted).toBe(items.length);
  });

  it('lists for an instance exactly the chunks that hold some of it', () => {
    const property = fc.property(fc.array(fc.nat(30), { maxLength: 12 }), fc.nat(40), (held, from) => {
      const chunks = [...new Set(held)].toSorted((a, b) => a - b);
      const ranges = chunks.map((chunk) => [chunk, chunk] as const);
      expect(nextChunk(ranges, from)).toBe(chunks.find((chunk) => chunk >= from));
    });
    fc.assert(property);
    expect([0, CHUNK_ITEMS - 1, CHUNK_ITEMS].map(chunkOf)).toEqual([0, 0, 1]);
  });

  it('is invisible to the workers until it is activated, and no key of it outlives a submitter that died', async () => {
    const plan = await room.plan(certificatesOf(CHUNK_ITEMS));
    expect((await room.ledger.batches.active()).map(({ id }) => id)).not.toContain(plan.batch);
    expect((await room.batch(plan.batch)).state).toBe('planned');
    const keys = await room.keysWith(plan.batch);
    expect(keys.length).toBeGreaterThanOrEqual(2);
    for (const key of keys) expect(await room.redis.ttl(key)).toBeGreaterThan(0);
    // Its time passes.
    await room.redis.unlink(keys);
    expect((await room.ledger.batches.all()).map(({ id }) => id)).not.toContain(plan.batch);
    expect(await room.redis.zscore(room.ledger.keys.batches, plan.batch)).toBeNull();
    expect(await plan.activate()).toEqual({ kind: 'gone' });
    expect(await room.keysWith(plan.batch)).toEqual([]);
  });

  it('leaves no key when it is discarded', async () => {
    const plan = await room.plan(certificatesOf(CHUNK_ITEMS + 1));
    await plan.discard();
    expect(await room.keysWith(plan.batch)).toEqual([]);
    expect(await room.redis.zscore(room.ledger.keys.batches, plan.batch)).toBeNull();
  });

  it('is no plan any more once it runs: a late discard takes nothing away', async () => {
    const plan = await room.plan(certificatesOf(3));
    await plan.activate();
    const keys = await room.keysWith(plan.batch);
    await plan.discard();
    expect((await room.keysWith(plan.batch)).toSorted()).toEqual(keys.toSorted());
    expect((await room.batch(plan.batch)).state).toBe('running');
  });

  it('that lacks a chunk runs nothing', async () => {
    const plan = await room.plan(certificatesOf(2 * CHUNK_ITEMS));
    await room.redis.hdel(room.ledger.keys.of(plan.batch).chunks, '0');
    expect(await plan.activate()).toEqual({ kind: 'gone' });
    expect(await room.ledger.batches.find(plan.batch)).toBeUndefined();
  });

  it('runs for ever once it is activated, also when the activation is repeated', async () => {
    const plan = await room.plan(certificatesOf(3), 'urgent');
    const running = { kind: 'running', batch: plan.batch };
    expect(await plan.activate()).toEqual(running);
    await room.settle(plan.batch, 0, 'revoked');
    const before = await room.batch(plan.batch);
    expect(await plan.activate()).toEqual(running);
    expect(await room.batch(plan.batch)).toEqual(before);
    for (const key of await room.keysWith(plan.batch)) expect(await room.redis.ttl(key)).toBe(-1);
  });

  it('that was cancelled before it was activated does not run', async () => {
    const plan = await room.plan(certificatesOf(CHUNK_ITEMS));
    expect(await room.ledger.batches.change(plan.batch, 'cancel')).toEqual({ kind: 'changed', state: 'cancelled' });
    expect(await plan.activate()).toEqual({ kind: 'gone' });
  });

  it('of a file that was used runs nothing, anyone who of two submitters came first', async () => {
    const planId = 'f'.repeat(32);
    const plans = await Promise.all([certificatesOf(3), certificatesOf(4)].map((items) => room.plan(items)));
    const ends = await Promise.all(plans.map((plan) => plan.activate({ planId })));
    const [running] = ends.filter(({ kind }) => kind === 'running');
    const [used] = ends.filter(({ kind }) => kind === 'used');
    expect(running).toEqual({ kind: 'running', batch: expect.any(String) });
    expect(used).toEqual({ ...running, kind: 'used' });
    // It is kept beyond the day for which a file is good, and not for ever.
    const lastsMs = await room.redis.pttl(room.ledger.keys.usedPlan(planId));
    expect(lastsMs).toBeGreaterThan(PLAN_GOOD_MS + 3_600_000);
    const winner = plans.find(({ batch }) => running !== undefined && 'batch' in running && batch === running.batch);
    expect(await winner?.activate({ planId })).toEqual(running);
  });
});

it('has an id that no other has, of 40,000 within one second, and that sorts by age', () => {
  const planAt = (nowMs: number): string => new Plan(room.ledger, { priority: 'bulk' }, nowMs).batch;
  const nowMs = Date.UTC(2026, 10, 24, 6, 41, 34);
  const ids = Array.from({ length: 40_000 }, () => planAt(nowMs));
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.filter((id) => !/^20261124-064134-[0-9a-v]{26}$/.test(id))).toEqual([]);
  const later = planAt(nowMs + 1_000);
  expect(ids.every((id) => id < later)).toBe(true);
});

describe('a manifest submitted again', () => {
  it('is one batch when two submit it at the same time, and nothing is left of the other', async () => {
    const items = certificatesOf(CHUNK_ITEMS + 5);
    const plans = await Promise.all([room.plan(items), room.plan(items)]);
    const activated = await Promise.all(plans.map((plan) => plan.activate()));
    expect(activated.map(({ kind }) => kind).toSorted()).toEqual(['duplicate', 'running']);
    const ids = new Set(activated.flatMap((one) => ('batch' in one ? [one.batch] : [])));
    expect(ids.size).toBe(1);
    const loser = plans.find(({ batch }) => !ids.has(batch));
    expect(await room.keysWith(loser?.batch ?? '?')).toEqual([]);
  });

  it('is another batch when an item or the order differs', async () => {
    const items = certificatesOf(3);
    await room.batchOf(items);
    expect((await room.submit(items.toReversed())).kind).toBe('running');
    expect((await room.submit(items.slice(1))).kind).toBe('running');
  });

  it('runs again when the earlier batch is completed or cancelled', async () => {
    const items = certificatesOf(1);
    const first = await room.batchOf(items);
    expect(await room.submit(items)).toEqual({ kind: 'duplicate', batch: first });
    await room.settle(first, 0, 'revoked');
    const second = await room.batchOf(items);
    await room.ledger.batches.change(second, 'cancel');
    // Its item is not settled yet.
    const third = await room.batchOf(items);
    await room.ledger.items.cancel(second, [{ n: 0 }]);
    expect(await room.submit(items)).toEqual({ kind: 'duplicate', batch: third });
  });
});

async function millisecondOf({ redis }: LedgerRoom): Promise<number> {
  const [seconds = 0, micros = 0] = await redis.time();
  return seconds * 1_000 + Math.floor(micros / 1_000);
}

it('feeds urgent batches first, and then the oldest', async () => {
  const own = new LedgerRoom();
  try {
    const ids: string[] = [];
    for (const priority of ['bulk', 'urgent', 'bulk', 'urgent'] as const) {
      ids.push(await own.batchOf(certificatesOf(1), priority));
      const before = await millisecondOf(own);
      // The next millisecond of Redis: only age tells equals apart.
      while ((await millisecondOf(own)) === before);
    }
    const order = [1, 3, 0, 2].map((at) => ids[at]);
    expect((await own.ledger.batches.active()).map(({ id }) => id)).toEqual(order);
  } finally {
    await own.cleanup();
  }
});
