import fc from 'fast-check';
import { expect } from 'vitest';
import type { Action } from '../../src/core/action.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import type { CancelledItem } from '../../src/ledger/items.ts';
import type { LedgerRoom } from './ledger-room.ts';
import { expectLedgerAs, INSTANCES } from './model-judge.ts';
import type { Model, ModelBatch } from './model.ts';

/** What the commands work on: the room, and the manifests that can be submitted. */
export interface Real {
  readonly room: LedgerRoom;
  readonly manifests: readonly (readonly Certificate[])[];
  /** Of each manifest; the same certificates with another action are another manifest. All delete when not given. */
  readonly actions?: readonly Action[];
}

export type Command = fc.AsyncCommand<Model, Real>;

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
      const { replies, expectRead } = await readMeanwhile(model, real.room, () =>
        Promise.all(again.map(() => ask(real, model))),
      );
      const told = again.map(() => tell(model, real));
      expect(replies).toEqual(told);
      expectRead();
      await expectLedgerAs(model, real.room);
    },
    toString: () => `${name}${times > 1 ? ' twice' : ''}`,
  };
}

/** A report that is read while something happens shows each item at most once, as it was before or is after. */
export async function readMeanwhile<T>(
  model: Model,
  room: LedgerRoom,
  work: () => Promise<T>,
): Promise<{ replies: T; expectRead: () => void }> {
  const before = model.batches.map((batch) => ({ batch, items: [...batch.items] }));
  const [rows, replies] = await Promise.all([Promise.all(before.map(({ batch }) => room.rows(batch.id))), work()]);
  const expectRead = (): void => {
    for (const [at, { batch, items }] of before.entries()) {
      const read = rows[at] ?? [];
      expect(new Set(read.map(({ ordinal }) => ordinal)).size).toBe(read.length);
      for (const { ordinal, outcome } of read) expect([items[ordinal], batch.items[ordinal]]).toContain(outcome);
      const settled = [...items.keys()].filter((n) => items[n] !== 'pending' && items[n] === batch.items[n]);
      expect(read.map(({ ordinal }) => ordinal)).toEqual(expect.arrayContaining(settled));
    }
  };
  return { replies, expectRead };
}

/** Two submitters of one manifest, or one that tries again: there is one batch. */
export function submission(manifest: number, times: number): Command {
  return {
    check: () => true,
    async run(model, { room, manifests, actions = [] }) {
      const items = manifests[manifest] ?? [];
      const all = await Promise.all(Array.from({ length: times }, () => room.submit(items, 'bulk', actions[manifest])));
      const known = model.working.get(manifest);
      const ids = new Set(all.map((activated) => ('batch' in activated ? activated.batch : activated.kind)));
      expect(all.filter(({ kind }) => kind === 'running')).toHaveLength(known === undefined ? 1 : 0);
      const [id = ''] = ids;
      expect([...ids]).toEqual([known ?? id]);
      if (known === undefined) model.submit(manifest, id, items.length, actions[manifest] ?? 'delete');
    },
    toString: () => `submit ${manifest}${times > 1 ? ' twice' : ''}`,
  };
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

/** What an operator asks of a batch. */
export function control(at: number, event: 'pause' | 'resume' | 'cancel', count = 1): Command {
  return onBatch(
    event,
    count,
    at,
    ({ room }, { id }) => room.ledger.batches.change(id, event),
    (model, batch) => ({ kind: model.change(batch, event) ? 'changed' : 'refused', state: batch.state }),
  );
}

/** What submitters and operators do. */
export function requests(manifests = 2): Record<'submit' | 'change' | 'reopen' | 'discard', fc.Arbitrary<Command>> {
  const reopen = onLetter(
    'reopen',
    async ({ room }, { id }, n) => (await room.ledger.deadLetters.reopen(id, [n]))[0],
    (model, batch, n) => model.reopen(batch, n),
  );
  const discard = onLetter(
    'discard',
    async ({ room }, { id }, n) => (await room.ledger.deadLetters.discard(id, [n]))[0],
    (model, batch, n) => model.discard(batch, n),
  );
  const events = fc.constantFrom('pause' as const, 'resume' as const, 'cancel' as const);
  const change = fc.tuple(index, events, times).map(([at, event, count]) => control(at, event, count));
  const submit = fc.tuple(fc.nat(manifests - 1), times).map(([manifest, count]) => submission(manifest, count));
  return { submit, change, reopen, discard };
}

/** An operation on a dead letter, or on an item that is none. */
function onLetter(
  name: string,
  ask: (real: Real, batch: ModelBatch, n: number) => Promise<unknown>,
  tell: (model: Model, batch: ModelBatch, n: number) => unknown,
): fc.Arbitrary<Command> {
  return fc.tuple(index, ordinal, fc.boolean(), times).map(([at, chosen, isLetter, count]) => {
    let n = chosen;
    return onBatch(
      `${name} ${isLetter ? 'letter' : 'item'} ${chosen}`,
      count,
      at,
      (real, batch) => {
        const known = [...batch.letters.keys()];
        n = isLetter && known.length > 0 ? (known[chosen % known.length] ?? chosen) : chosen;
        return ask(real, batch, n);
      },
      (model, batch) => tell(model, batch, n),
    );
  });
}

/** The batch that takes in the jobs that belong to none. */
const DIRECT = 'direct-fleet';

/** Every command but those of runs. */
export function commands(): fc.Arbitrary<Command>[] {
  const cancelItems = fc.tuple(index, fc.array(ordinal, { maxLength: 5 }), times).map(([at, ordinals, count]) =>
    onBatch(
      `cancel items ${ordinals.join(' ')}`,
      count,
      at,
      async ({ room }, { id, items, adopted }) => {
        const asked = itemsOf(
          adopted,
          ordinals.filter((n) => n < items.length),
        );
        return (await room.ledger.items.cancel(id, asked)).length;
      },
      (model, batch) => model.cancelItems(batch, ordinals),
    ),
  );
  const adopt = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), times).map(([job, count]) => {
    const certificate = { instanceId: INSTANCES[0], caSn: 'c', deviceSn: job };
    return operation(
      `adopt ${job}`,
      count,
      () => true,
      ({ room }) => room.ledger.direct.adopt(DIRECT, job, certificate).catch(() => undefined),
      (model) => model.adopt(DIRECT, job),
    );
  });
  const { submit, change, reopen, discard } = requests();
  return [reopen, discard, change, cancelItems, adopt, submit];
}

/** Items as a cancel knows them. */
function itemsOf(adopted: ReadonlyMap<string, number>, ordinals: readonly number[]): CancelledItem[] {
  const keys = new Map([...adopted].map(([key, n]) => [n, key]));
  return ordinals.map((n) => ({ n, ...(keys.has(n) && { key: keys.get(n) ?? '' }) }));
}
