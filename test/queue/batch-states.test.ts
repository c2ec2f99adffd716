import { afterAll, expect, it } from 'vitest';
import { BatchStates } from '../../src/queue/batch-states.ts';
import { certificatesOf, LedgerRoom } from '../ledger/ledger-room.ts';

const room = new LedgerRoom();
afterAll(() => room.cleanup());

/** States on a clock that the test moves. */
function open(): { states: BatchStates; pass: (ms: number) => void } {
  let nowMs = 1_000_000;
  return { states: new BatchStates(room.ledger, () => nowMs), pass: (ms) => void (nowMs += ms) };
}

it('remembers a batch for less than a second, by the clock at the moment of the question', async () => {
  const batch = await room.batchOf(certificatesOf(3));
  const { states, pass } = open();
  expect(await states.of(batch)).toEqual({ state: 'running', accepted: 3 });
  await room.ledger.change(batch, 'pause');
  pass(999);
  expect((await states.of(batch))?.state).toBe('running');
  pass(1);
  expect((await states.of(batch))?.state).toBe('paused');
});

it('looks anew when it is told that something changed', async () => {
  const batch = await room.batchOf(certificatesOf(1));
  const { states } = open();
  await states.of(batch);
  await room.ledger.change(batch, 'cancel');
  states.forget();
  expect((await states.of(batch))?.state).toBe('cancelled');
});

it('asks Redis once for many questions of a moment', async () => {
  const batch = await room.batchOf(certificatesOf(1));
  const { states } = open();
  const all = await Promise.all(Array.from({ length: 100 }, () => states.of(batch)));
  expect(new Set(all).size).toBe(1);
});

it('knows that there is no such batch', async () => {
  expect(await open().states.of('nowhere')).toBeUndefined();
});
