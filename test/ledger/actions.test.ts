import { inflateRawSync } from 'node:zlib';
import { afterAll, expect, it } from 'vitest';
import { packChunk, unpackChunk } from '../../src/ledger/chunk.ts';
import { ACTIONS_SINCE, LAYOUT_VERSION } from '../../src/ledger/layout.ts';
import { parseBatch } from '../../src/ledger/batch-record.ts';
import { WorkerRegistry } from '../../src/queue/worker/worker-registry.ts';
import { certificatesOf, LedgerRoom } from './ledger-room.ts';

const room = new LedgerRoom();
afterAll(() => room.cleanup());

/** As versions before layout 4 read a chunk. */
function readAsFormer(packed: Buffer): unknown {
  const runs = JSON.parse(inflateRawSync(packed).toString('utf8')) as [string, string, string[]][];
  return runs.flatMap(([instanceId, caSn, deviceSns]) => deviceSns.map((deviceSn) => ({ instanceId, caSn, deviceSn })));
}

it('the same manifest with another action is another batch, and with the same one it is not', async () => {
  const items = certificatesOf(3);
  const inactivating = await room.batchOf(items, 'bulk', 'inactivate');
  const deleting = await room.batchOf(items);
  const activating = await room.batchOf(items, 'bulk', 'activate');
  expect(new Set([inactivating, deleting, activating]).size).toBe(3);
  expect(await room.submit(items, 'bulk', 'inactivate')).toEqual({ kind: 'duplicate', batch: inactivating });
  expect(await room.submit(items, 'bulk', 'delete')).toEqual({ kind: 'duplicate', batch: deleting });
  const actions = await Promise.all(
    [inactivating, deleting, activating].map(async (id) => (await room.batch(id)).action),
  );
  expect(actions).toEqual(['inactivate', 'delete', 'activate']);
  for (const n of items.keys()) expect(await room.settle(deleting, n, 'revoked')).toBe(n === 2 ? 'drained' : 'settled');
  expect(await room.submit(items, 'bulk', 'inactivate')).toMatchObject({ kind: 'duplicate' });
});

it('a record without an action deletes, and one with an unknown action is no batch of ours', async () => {
  const hash = await room.redis.hgetall(room.ledger.keys.of(await room.batchOf(certificatesOf(1))).record);
  expect(hash).not.toHaveProperty('action');
  expect(parseBatch('b', hash)?.action).toBe('delete');
  expect(parseBatch('b', { ...hash, action: 'explode' })).toBeUndefined();
});

it('an older worker cannot read what such a batch is for', () => {
  const items = certificatesOf(5);
  expect(readAsFormer(packChunk(items))).toEqual(items);
  for (const action of ['inactivate', 'activate'] as const) {
    const packed = packChunk(items, action);
    expect(unpackChunk(packed)).toEqual(items);
    expect(() => readAsFormer(packed)).toThrow(TypeError);
  }
});

it('makes older workers leave, before a worker of this version has begun', async () => {
  const fresh = new LedgerRoom();
  try {
    const { layout } = fresh.ledger.keys;
    const registry = new WorkerRegistry({
      redis: fresh.redis,
      prefix: fresh.keys.prefix,
      host: 'h',
      pid: 1,
      accounts: [],
    });
    await fresh.redis.set(layout, ACTIONS_SINCE - 1);
    await fresh.batchOf(certificatesOf(1));
    expect(await fresh.redis.get(layout)).toBe(`${ACTIONS_SINCE - 1}`);
    await fresh.batchOf(certificatesOf(1), 'bulk', 'inactivate');
    expect(await fresh.redis.get(layout)).toBe(`${ACTIONS_SINCE}`);
    await fresh.batchOf(certificatesOf(1), 'bulk', 'retire');
    expect(await fresh.redis.get(layout)).toBe(`${LAYOUT_VERSION}`);
    await registry.announce();
    // What a newer version has written stays.
    await fresh.redis.set(layout, LAYOUT_VERSION + 1);
    await fresh.batchOf(certificatesOf(1), 'bulk', 'inactivate');
    expect(await fresh.redis.get(layout)).toBe(`${LAYOUT_VERSION + 1}`);
  } finally {
    await fresh.cleanup();
  }
});

it('the record of changes says what was submitted, and what is left of a forgotten batch does too', async () => {
  const batch = await room.batchOf(certificatesOf(1), 'bulk', 'inactivate');
  await room.settle(batch, 0, 'inactivated');
  expect(await room.ledger.batches.forget(batch)).toBe('forgotten');
  expect(await room.ledger.batches.tombstone(batch)).toMatchObject({
    action: 'inactivate',
    counts: { accepted: 1, revoked: 0, inactivated: 1 },
  });
  const entries = await room.redis.xrange(room.ledger.keys.audit.stream, '-', '+');
  const told = entries.map(([, fields]) => JSON.parse(fields[1] ?? '{}') as Record<string, unknown>);
  const [submitted, forgotten] = told.filter((entry) => entry['batch'] === batch);
  expect(submitted).toMatchObject({ event: 'submit', action: 'inactivate' });
  expect(forgotten).toMatchObject({ event: 'forget', counts: { inactivated: 1 } });
});
