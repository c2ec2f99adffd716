import { afterEach, beforeEach, expect, it } from 'vitest';
import { directBatchOf } from '../../../src/ledger/direct-items.ts';
import { DirectBreaker, type BatchPaused } from '../../../src/queue/feed/direct-breaker.ts';
import { AppRoom } from '../../app/app-room.ts';
import { certificatesOf } from '../../ledger/ledger-room.ts';

const BATCH = directBatchOf('fleet');
let room: AppRoom;
let nowMs: number;
let told: BatchPaused[];
let breaker: DirectBreaker;
let accepted: number;
beforeEach(() => {
  room = new AppRoom();
  [nowMs, told, accepted] = [0, [], 0];
  breaker = new DirectBreaker({
    ledger: room.ledger,
    account: { name: 'fleet' },
    breaker: { maxDeadShare: 0.05, minSample: 100 },
    monotonicMs: () => nowMs,
    tell: (event) => told.push(event),
  });
});
afterEach(() => room.cleanup());

/** Takes so many in and ends them. */
async function end(count: number, outcome: 'revoked' | 'dead'): Promise<void> {
  for (const item of certificatesOf(count)) {
    const { n } = await room.ledger.direct.adopt(BATCH, `job-${accepted}`, item);
    accepted += 1;
    await room.end(BATCH, n, outcome, item, 'ParameterCheckFailed');
  }
}

async function look(): Promise<string> {
  nowMs += 1_000;
  await breaker.check();
  return (await room.batch(BATCH)).state;
}

it('pauses at more than the share of dead items, from the smallest sample on, also when nothing pends', async () => {
  await end(99, 'dead');
  expect(await look()).toBe('completed');
  await end(1, 'revoked');
  expect(await look()).toBe('paused');
  expect(told).toEqual([{ kind: 'batch-paused', batch: BATCH, settled: 100, dead: 99 }]);
  expect((await room.batch(BATCH)).pausedBecause).toContain(`99 of 100 settled items are dead (99%)`);
  const [[, [, entry = '']] = ['', []]] = await room.redis.xrange(room.ledger.keys.audit.stream, '-', '+');
  expect(JSON.parse(entry)).toMatchObject({ event: 'breaker-pause', batch: BATCH, counts: { dead: 99 } });
  // Counts again.
  await room.ledger.batches.change(BATCH, 'resume');
  await end(94, 'revoked');
  await end(5, 'dead');
  expect(await look()).toBe('completed');
  await end(1, 'dead');
  expect(await look()).toBe('paused');
  expect(told).toHaveLength(2);
});

it('judges the last thousand, however many went well before', async () => {
  await end(1_500, 'revoked');
  await end(50, 'dead');
  expect(await look()).toBe('completed');
  // 51 of the last 1,000, 51 of 1,551 altogether.
  await end(1, 'dead');
  expect(await look()).toBe('paused');
  expect(told).toEqual([{ kind: 'batch-paused', batch: BATCH, settled: 1_000, dead: 51 }]);
});

it('does not hold deaths against it that are long past, or whose letters were retried', async () => {
  await end(90, 'dead');
  const retried = Array.from({ length: 60 }, (_, n) => n);
  await room.ledger.deadLetters.reopen(BATCH, retried);
  // Those that pend again are not counted, so that the share is 30 of 1,000 and more.
  await end(1_000, 'revoked');
  expect(await look()).toBe('running');
  expect(told).toEqual([]);
});
