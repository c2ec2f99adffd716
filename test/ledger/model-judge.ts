import { expect } from 'vitest';
import { pendingOf, settledOf } from '../../src/core/batch.ts';
import type { LedgerRoom } from './ledger-room.ts';
import type { Model, ModelBatch } from './model.ts';

/** All that the ledger knows against all that the model says. */
export async function expectLedgerAs(model: Model, room: LedgerRoom): Promise<void> {
  await Promise.all(model.batches.map((batch) => expectBatchAs(batch, room)));
  const working = await room.redis.hvals(room.ledger.keys.fingerprints);
  expect(working.toSorted()).toEqual([...model.working.values()].toSorted());
}

/** A batch, and the identity that holds at every moment. */
async function expectBatchAs(batch: ModelBatch, room: LedgerRoom): Promise<void> {
  const { redis, ledger } = room;
  const of = ledger.keys.of(batch.id);
  const numbers = async (key: string): Promise<Set<number>> => new Set((await redis.hkeys(key)).map(Number));
  // Asked at once, for the sake of time: nothing changes meanwhile.
  const [record, score, bits, rows, letters, reopened, adopted] = await Promise.all([
    room.batch(batch.id),
    redis.zscore(ledger.keys.active, batch.id),
    redis.bitcount(of.settled),
    room.rows(batch.id),
    numbers(of.dead),
    numbers(of.reopened),
    ledger.adoptedJobs(batch.id),
  ]);
  const { state, counts, confirmedByAbsence, completedAt } = record;
  const tally = (outcome: string): number => batch.items.filter((item) => item === outcome).length;
  expect({ state, counts, confirmedByAbsence }).toEqual({
    state: batch.state,
    confirmedByAbsence: batch.byAbsence,
    counts: {
      accepted: batch.items.length,
      revoked: tally('revoked'),
      alreadyGone: tally('already-gone'),
      dead: tally('dead'),
      cancelled: tally('cancelled'),
    },
  });
  const pending = tally('pending');
  expect(settledOf(counts) + pending).toBe(counts.accepted);
  expect(pendingOf(counts)).toBe(pending);
  expect(completedAt === undefined).toBe(pending > 0 || batch.state === 'paused');
  expect(score !== null).toBe(pending > 0);
  expect(bits).toBe(batch.items.length - pending);
  const outcomes = rows.map(({ ordinal, outcome }) => [ordinal, outcome] as const);
  const settled = [...batch.items.entries()].filter(([, item]) => item !== 'pending');
  expect(outcomes.toSorted(([a], [b]) => a - b)).toEqual(settled);
  expect({ letters, reopened, adopted }).toEqual({
    letters: batch.letters,
    reopened: batch.reopened,
    adopted: batch.adopted,
  });
}
