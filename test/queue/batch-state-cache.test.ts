import { afterAll, expect, it } from 'vitest';
import type { Certificate } from '../../src/core/certificate.ts';
import { LAYOUT_VERSION } from '../../src/ledger/layout.ts';
import { directBatchOf } from '../../src/ledger/direct-items.ts';
import { BatchStateCache } from '../../src/queue/batch-state-cache.ts';
import { certificatesOf, LedgerRoom } from '../ledger/ledger-room.ts';

const room = new LedgerRoom();
afterAll(() => room.cleanup());

/** States on a clock that the test moves. */
function open(): { states: BatchStateCache; pass: (ms: number) => void } {
  let nowMs = 1_000_000;
  return { states: new BatchStateCache(room.ledger, () => nowMs), pass: (ms) => void (nowMs += ms) };
}

it('remembers a batch for less than a second, by the clock at the moment of the question', async () => {
  const batch = await room.batchOf(certificatesOf(3));
  const { states, pass } = open();
  expect(await states.of(batch)).toMatchObject({
    state: 'running',
    accepted: 3,
    priority: 'bulk',
    layout: LAYOUT_VERSION,
  });
  await room.ledger.batches.change(batch, 'pause');
  pass(999);
  expect((await states.of(batch))?.state).toBe('running');
  pass(1);
  expect((await states.of(batch))?.state).toBe('paused');
});

it('reads again when it hears that something changed', async () => {
  const batch = await room.batchOf(certificatesOf(1));
  const { states } = open();
  await states.of(batch);
  await room.ledger.batches.change(batch, 'cancel');
  states.forget();
  expect((await states.of(batch))?.state).toBe('cancelled');
});

it('asks Redis once for many questions of a moment', async () => {
  const batch = await room.batchOf(certificatesOf(1));
  const { states } = open();
  const all = await Promise.all(Array.from({ length: 100 }, () => states.of(batch)));
  expect(new Set(all).size).toBe(1);
});

it('does not remember that a batch is not there: what names it may come right after it', async () => {
  const direct = directBatchOf('states');
  const { states } = open();
  expect(await states.of(direct)).toBeUndefined();
  const [item] = certificatesOf(1) as [Certificate];
  await room.ledger.direct.adopt(direct, 'job', item);
  expect(await states.of(direct)).toMatchObject({ state: 'running', accepted: 1 });
});

it('knows that there is no such batch', async () => {
  expect(await open().states.of('nowhere')).toBeUndefined();
});
