import fc from 'fast-check';
import { expect } from 'vitest';
import { OUTCOMES, pendingOf, settledOf } from '../../src/core/batch.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import { discardDeadLetter, reopenDeadLetter } from '../../src/ledger/dead-letters.ts';
import type { LedgerRoom } from './ledger-room.ts';
import type { Model, ModelBatch } from './model.ts';

/** What the commands work on: the room, and the manifests that can be submitted. */
export interface Real {
  readonly room: LedgerRoom;
  readonly manifests: readonly (readonly Certificate[])[];
  readonly standing: string;
}

type Command = fc.AsyncCommand<Model, Real>;

/**
 * One operation, done once or, like after a crash or a lost reply, twice in a row without waiting.
 * After it the ledger must say of every batch what the model says.
 */
function operation(
  name: string,
  times: number,
  check: (model: Model) => boolean,
  ask: (real: Real, model: Model) => Promise<unknown>,
  tell: (model: Model, real: Real) => unknown,
): Command {
  const again = Array.from({ length: times });
  return {
    check,
    async run(model, real) {
      // The model may grow meanwhile: everything is asked first, of the model as it is.
      const replies = await Promise.all(again.map(() => ask(real, model)));
      const told = again.map(() => tell(model, real));
      expect(replies).toEqual(told);
      for (const batch of model.batches) await expectSame(batch, real);
      const working = await real.room.redis.hvals(real.room.ledger.keys.fingerprints);
      expect(working.toSorted()).toEqual([...model.working.values()].toSorted());
    },
    toString: () => `${name}${times > 1 ? ' twice' : ''}`,
  };
}

/** Two submitters of one manifest, or one that tries again: whoever is first, there is one batch. */
function submission(manifest: number, times: number): Command {
  return {
    check: () => true,
    async run(model, { room, manifests }) {
      const items = manifests[manifest] ?? [];
      const all = await Promise.all(Array.from({ length: times }, () => room.submit(items)));
      const known = model.working.get(manifest);
      const ids = new Set(all.map((activated) => (activated.kind === 'gone' ? 'gone' : activated.batch)));
      expect(all.filter(({ kind }) => kind === 'running')).toHaveLength(known === undefined ? 1 : 0);
      const [id = ''] = ids;
      expect([...ids]).toEqual([known ?? id]);
      if (known === undefined) model.submit(manifest, id, items.length);
    },
    toString: () => `submit ${manifest}${times > 1 ? ' twice' : ''}`,
  };
}

/** The ledger's whole knowledge of a batch against the model's, and the identity that holds at every moment. */
async function expectSame(batch: ModelBatch, { room }: Real): Promise<void> {
  const { redis, ledger } = room;
  const of = ledger.keys.of(batch.id);
  const { state, counts, confirmedByAbsence, completedAt } = await room.batch(batch.id);
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
  expect(completedAt === undefined).toBe(pending > 0);
  expect((await redis.zscore(ledger.keys.active, batch.id)) !== null).toBe(pending > 0);
  expect(await redis.bitcount(of.settled)).toBe(batch.items.length - pending);
  const rows = (await room.rows(batch.id)).map(({ ordinal, outcome }) => [ordinal, outcome] as const);
  const settled = [...batch.items.entries()].filter(([, item]) => item !== 'pending');
  expect(rows.toSorted(([a], [b]) => a - b)).toEqual(settled);
  const numbers = async (key: string): Promise<Set<number>> => new Set((await redis.hkeys(key)).map(Number));
  expect(await numbers(of.dead)).toEqual(batch.letters);
  expect(await numbers(of.reopened)).toEqual(batch.reopened);
  expect(await ledger.adoptedJobs(batch.id)).toEqual(batch.adopted);
}

const times = fc.constantFrom(1, 1, 2);
const index = fc.nat(5);
const ordinal = fc.nat(7);
/** An operation on one of the batches there are. */
function onBatch(
  name: string,
  count: number,
  at: number,
  ask: (real: Real, batch: ModelBatch) => Promise<unknown>,
  tell: (model: Model, batch: ModelBatch) => unknown,
): Command {
  const of = (model: Model): ModelBatch => {
    const batch = model.pick(at);
    if (batch === undefined) throw new Error('there is no batch');
    return batch;
  };
  return operation(
    `${name} of batch ${at}`,
    count,
    (model) => model.batches.length > 0,
    (real, model) => ask(real, of(model)),
    (model) => tell(model, of(model)),
  );
}

/** Every command, in proportions that keep batches alive for a while. */
export function commands(): fc.Arbitrary<Command>[] {
  const settle = fc
    .tuple(index, ordinal, fc.constantFrom(...OUTCOMES), fc.boolean(), times)
    .map(([at, n, outcome, absent, count]) => {
      const byAbsence = outcome === 'revoked' && absent;
      return onBatch(
        `settle ${n} ${outcome}`,
        count,
        at,
        ({ room }, batch) => {
          const job = [...batch.adopted].find(([, known]) => known === n)?.[0];
          const rest = { byAbsence, ...(job !== undefined && { jobId: job }) };
          return room.ledger.settle(room.settlement(batch.id, n, outcome, rest));
        },
        (model, batch) => model.settle(batch, n, outcome, byAbsence),
      );
    });
  const reopen = fc.tuple(index, ordinal, times).map(([at, n, count]) =>
    onBatch(
      `reopen ${n}`,
      count,
      at,
      ({ room }, { id }) => reopenDeadLetter(room.redis, room.ledger, id, n),
      (model, batch) => model.reopen(batch, n),
    ),
  );
  const discard = fc.tuple(index, ordinal, times).map(([at, n, count]) =>
    onBatch(
      `discard ${n}`,
      count,
      at,
      ({ room }, { id }) => discardDeadLetter(room.redis, room.ledger, id, n),
      (model, batch) => model.discard(batch, n),
    ),
  );
  const change = fc
    .tuple(index, fc.constantFrom('pause', 'pause', 'resume', 'resume', 'cancel'), times)
    .map(([at, event, count]) =>
      onBatch(
        event,
        count,
        at,
        ({ room }, { id }) => room.ledger.change(id, event),
        (model, batch) => ({ kind: model.change(batch, event) ? 'changed' : 'refused', state: batch.state }),
      ),
    );
  const cancelItems = fc.tuple(index, fc.array(ordinal, { maxLength: 5 }), times).map(([at, ordinals, count]) =>
    onBatch(
      `cancel items ${ordinals.join(' ')}`,
      count,
      at,
      ({ room }, { id, items }) =>
        room.ledger.cancelItems(
          id,
          ordinals.filter((n) => n < items.length),
        ),
      (model, batch) => model.cancelItems(batch, ordinals),
    ),
  );
  const adopt = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), times).map(([job, count]) => {
    const certificate = { instanceId: 'i', caSn: 'c', deviceSn: job };
    return operation(
      `adopt ${job}`,
      count,
      () => true,
      ({ room, standing }) => room.ledger.adopt(standing, job, certificate).catch(() => undefined),
      (model, { standing }) => model.adopt(standing, job),
    );
  });
  const submit = fc.tuple(fc.nat(1), times).map(([manifest, count]) => submission(manifest, count));
  return [settle, settle, settle, reopen, discard, change, cancelItems, adopt, submit];
}
