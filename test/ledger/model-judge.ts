import { expect } from 'vitest';
import { pendingOf, settledOf } from '../../src/core/batch.ts';
import type { LedgerRoom } from './ledger-room.ts';
import { RunModel } from './model-runs.ts';
import { isSoaking, type Model, type ModelBatch } from './model.ts';

/** Of the manifests that models submit. */
export const INSTANCES = ['post-cn-a', 'post-cn-b'] as const;

/** All that the ledger knows against all that the model says. */
export async function expectLedgerAs(model: Model, room: LedgerRoom): Promise<void> {
  await Promise.all(model.batches.map((batch) => expectBatchAs(batch, room)));
  const working = await room.redis.hvals(room.ledger.keys.fingerprints);
  expect(working.toSorted()).toEqual([...model.working.values()].toSorted());
  if (model instanceof RunModel) await expectRunsAs(model, room);
}

/** What lies behind each item, what waits, and how the settled ones ended. */
async function expectRunsAs(model: RunModel, room: LedgerRoom): Promise<void> {
  const waits = new Map<string, boolean>();
  for (const batch of model.batches) {
    const past = [...batch.items.keys()].flatMap((n) => {
      const { failures, calls, isUnknown, crashes, run = '' } = model.past(batch, n);
      const text = `${failures} ${calls} ${isUnknown ? 1 : 0} ${crashes} ${run}`;
      const wait = model.wait(batch, n);
      if (wait !== undefined) waits.set(`${batch.id} ${n}`, wait.isDue);
      return text === '0 0 0 0 ' ? [] : [[n, text] as const];
    });
    expect(await room.attempts(batch.id)).toEqual(Object.fromEntries(past));
    for (const { ordinal, requestId, attempts } of await room.rows(batch.id)) {
      const { requestId: heard, calls } = model.end(batch, ordinal) ?? {};
      expect({ requestId, attempts }).toEqual({ requestId: heard, attempts: calls });
    }
    for await (const { n, effectUnknown, history } of room.ledger.deadLetters.list({ batch: batch.id })) {
      const told = { effectUnknown, deaths: history.length };
      expect(told).toEqual({ effectUnknown: model.end(batch, n)?.isUnknown, deaths: batch.letters.get(n) });
    }
  }
  const [seconds = 0, micros = 0] = await room.redis.time();
  const nowMs = seconds * 1_000 + micros / 1_000;
  const found = await Promise.all(INSTANCES.map((instanceId) => room.waiting(instanceId)));
  const isDue = found.flatMap((waiting) => [...waiting].map(([member, score]) => [member, score <= nowMs] as const));
  expect(new Map(isDue)).toEqual(waits);
}

/** A batch, and the identity that holds at every moment. */
async function expectBatchAs(batch: ModelBatch, room: LedgerRoom): Promise<void> {
  const { redis, ledger } = room;
  const of = ledger.keys.of(batch.id);
  const numbers = async (key: string): Promise<Set<number>> => new Set((await redis.hkeys(key)).map(Number));
  // Asked at once, for the sake of time: nothing changes meanwhile.
  const [record, score, bits, rows, letters, adopted] = await Promise.all([
    room.batch(batch.id),
    redis.zscore(ledger.keys.active, batch.id),
    redis.bitcount(of.settled),
    room.rows(batch.id),
    numbers(of.dead),
    ledger.direct.jobs(batch.id),
  ]);
  const { action, state, counts, confirmedByAbsence, completedAt } = record;
  const tally = (outcome: string): number => batch.items.filter((item) => item === outcome).length;
  expect({ state, counts, confirmedByAbsence }).toEqual({
    state: batch.state,
    confirmedByAbsence: batch.byAbsence,
    counts: {
      accepted: batch.items.length,
      revoked: tally('revoked'),
      alreadyGone: tally('already-gone'),
      ...(action === 'inactivate' && {
        inactivated: tally('inactivated'),
        alreadyInactive: tally('already-inactive'),
      }),
      ...(action === 'retire' && {
        inactivated: tally('inactivated'),
        alreadyInactive: tally('already-inactive'),
        keptActive: tally('kept-active'),
      }),
      ...(action === 'activate' && { activated: tally('activated'), alreadyActive: tally('already-active') }),
      dead: tally('dead'),
      cancelled: tally('cancelled'),
    },
  });
  const pending = tally('pending');
  expect(settledOf(counts) + pending).toBe(counts.accepted);
  expect(pendingOf(counts)).toBe(pending);
  expect(completedAt === undefined).toBe(pending > 0 || batch.state === 'paused');
  expect(score !== null).toBe(pending > 0);
  const soaking = [...batch.items.keys()].filter((n) => isSoaking(batch, n)).length;
  expect({ bits, phase: record.retirement?.phase, passed: record.retirement?.passed ?? 0 }).toEqual({
    bits: batch.items.length - pending + soaking,
    phase: batch.phase,
    passed: soaking,
  });
  const outcomes = rows.map(({ ordinal, outcome }) => [ordinal, outcome] as const);
  const settled = [...batch.items.entries()].filter(([, item]) => item !== 'pending');
  expect(outcomes.toSorted(([a], [b]) => a - b)).toEqual(settled);
  expect({ letters, adopted }).toEqual({ letters: new Set(batch.letters.keys()), adopted: batch.adopted });
}
