import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { expect } from 'vitest';
import { FIRST_ATTEMPT, type Attempt } from '../../src/core/decide.ts';
import { runName, type CallToNote, type CallVerdict, type Run } from '../../src/ledger/call-notes.ts';
import type { ItemReport } from '../../src/ledger/items.ts';
import { LEASE_MS, letterText } from './ledger-room.ts';
import { readMeanwhile, type Real } from './model-commands.ts';
import { expectLedgerAs, INSTANCES } from './model-judge.ts';
import type { Ask, ModelRun, Past, RunModel, Tell } from './model-runs.ts';
import { ALREADY, callOf, DONE, type ModelBatch } from './model.ts';

/** With the runs behind those of the model. */
export interface RunReal extends Real {
  readonly runs: Map<string, Run>;
}

export type RunCommand = fc.AsyncCommand<RunModel, RunReal>;

export function instanceOf({ manifests }: Real, { manifest }: ModelBatch, n: number): string {
  return (manifest === undefined ? undefined : manifests[manifest]?.[n]?.instanceId) ?? INSTANCES[0];
}

/** A run, and what it asks or tells of; of a claim, always its own item. */
interface Pick {
  readonly run: number;
  readonly n: number;
  readonly own: Own | undefined;
}
type Own = Readonly<globalThis.Pick<Past, 'failures' | 'calls' | 'isUnknown'>>;

const own = fc.option(
  fc.record({ failures: fc.nat(3), calls: fc.integer({ min: 1, max: 4 }), isUnknown: fc.boolean() }),
  {
    nil: undefined,
  },
);
const pick: fc.Arbitrary<Pick> = fc.record({ run: fc.nat(20), n: fc.nat(7), own });
const times = fc.constantFrom(1, 1, 2);

interface Chosen extends Omit<Ask, 'own'> {
  readonly own?: Own;
}

/** The batch, and the picks that are of it: where the first is a claim's, its batch. */
function choose(
  model: RunModel,
  at: number,
  picks: readonly Pick[],
): { batch: ModelBatch; chosen: (Chosen | undefined)[] } {
  const runOf = (picked: Pick): ModelRun | undefined => model.runs[picked.run % model.runs.length];
  const first = picks[0] === undefined ? undefined : runOf(picks[0]);
  const batch = model.batches.find(({ id }) => id === first?.of?.batch) ?? model.pick(at);
  if (batch === undefined) throw new Error('there is no batch');
  const chosen = picks.map((picked) => {
    const run = runOf(picked);
    if (run === undefined || (run.of !== undefined && run.of.batch !== batch.id)) return undefined;
    const n = run.of?.n ?? picked.n % batch.items.length;
    return { n, run, ...(picked.own !== undefined && { own: picked.own }) };
  });
  return { batch, chosen };
}

function attemptOf({ failures, calls, isUnknown }: Own): Attempt {
  return { failures, calls, effectUnknown: isUnknown };
}

function textOf(verdict: CallVerdict): string {
  if (!('attempt' in verdict)) return verdict.kind;
  const { failures, calls, effectUnknown } = verdict.attempt;
  return `${verdict.kind} ${failures} ${calls} ${effectUnknown ? 'unknown' : 'known'}`;
}

/** Asks in one step for the calls of several runs; some of them get slots, and some notes are taken back. */
export function asks(): fc.Arbitrary<RunCommand> {
  return fc
    .tuple(
      fc.nat(5),
      fc.array(pick, { minLength: 1, maxLength: 4 }),
      fc.constantFrom(0, 1, 2, 4, 4),
      fc.array(pick, { maxLength: 1 }),
      times,
    )
    .map(([at, picks, slots, backs, count]): RunCommand => ({
      check: (model) => model.batches.length > 0,
      async run(model, real) {
        const { batch, chosen } = choose(model, at, picks.concat(backs));
        const askOf = (list: readonly (Chosen | undefined)[]): Chosen[] => list.filter((ask) => ask !== undefined);
        const [calls, back] = [askOf(chosen.slice(0, picks.length)), askOf(chosen.slice(picks.length))];
        const noted = ({ n, run, own: known }: Chosen): CallToNote => {
          const instanceId = instanceOf(real, batch, n);
          return {
            batch: batch.id,
            n,
            instanceId,
            run: realOf(real, run),
            ...(known && { attempt: attemptOf(known) }),
          };
        };
        // Twice as after a slot that nobody used: a claim is renewed in between.
        for (let time = 0; time < count; time += 1) {
          const { verdicts } = await real.room.noteAll(calls.map(noted), { slots, back: back.map(noted) });
          expect(verdicts.map(textOf)).toEqual(model.note(batch, calls, slots, back));
        }
        await expectLedgerAs(model, real.room);
      },
      toString: () => `ask ${JSON.stringify({ at, picks, slots, backs })} x${count}`,
    }));
}

const end = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      outcome: fc.constantFrom('done' as const, 'already' as const, 'dead' as const, 'cancelled' as const),
      requestId: fc.oneof(
        fc.constant(''),
        fc.nat(1e9).map((id) => `R-${id}`),
      ),
      byAbsence: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), isDue: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('release' as const) }) },
);

type SettleEnd = Extract<Tell['end'], { kind: 'settle' }>;

/** An end as the batch's action has it. */
function settledAs(
  batch: ModelBatch,
  {
    outcome,
    byAbsence,
    ...how
  }: Omit<SettleEnd, 'outcome'> & { readonly outcome: 'done' | 'already' | 'dead' | 'cancelled' },
): SettleEnd {
  const action = callOf(batch);
  const outcomes = { done: DONE[action], already: ALREADY[action], dead: 'dead', cancelled: 'cancelled' } as const;
  return { ...how, outcome: outcomes[outcome], byAbsence: byAbsence && outcomes[outcome] === 'revoked' };
}

function reportOf(real: RunReal, batch: ModelBatch, { n, run, own: known, end: how }: Tell): ItemReport {
  const instanceId = instanceOf(real, batch, n);
  const base = { n, instanceId, run: realOf(real, run) };
  const attempt = known && attemptOf(known);
  if (how.kind === 'wait')
    return { ...base, end: { kind: 'wait', delayMs: how.isDue ? 0 : LEASE_MS, ...(attempt && { attempt }) } };
  if (how.kind === 'release') return { ...base, end: { kind: 'release', ...(attempt && { attempt }) } };
  const { outcome, requestId, byAbsence } = how;
  const key = [...batch.adopted].find(([, of]) => of === n)?.[0];
  const letter = outcome === 'dead' ? { letter: letterText({ instanceId, caSn: 'c', deviceSn: `${n}` }) } : {};
  const rest = {
    code: 'OK',
    requestId,
    attempt: attempt ?? FIRST_ATTEMPT,
    isUncalled: attempt === undefined,
    byAbsence,
  };
  return { ...base, ...(key !== undefined && { key }), end: { kind: 'settle', outcome, ...rest, ...letter } };
}

/** Several runs tell in one step what became of their items; twice as a client does that lost the reply. */
export function tells(): fc.Arbitrary<RunCommand> {
  return fc
    .tuple(fc.nat(5), fc.array(fc.tuple(pick, end, fc.boolean()), { minLength: 1, maxLength: 3 }), times)
    .map(([at, list, count]): RunCommand => ({
      check: (model) => model.batches.length > 0,
      async run(model, real) {
        const { batch, chosen } = choose(
          model,
          at,
          list.map(([picked]) => picked),
        );
        const all = chosen.flatMap((one, index): Tell[] => {
          const [, how, isOwner] = list[index] ?? [];
          if (one === undefined || how === undefined) return [];
          // Half of them by the run that has noted the call, if there is one.
          const owner = model.runs.find(({ name }) => name === model.past(batch, one.n).run);
          const { own: known, ...rest } = one;
          const isCalled = known !== undefined && { own: known };
          return [
            {
              ...rest,
              ...isCalled,
              run: (isOwner && owner) || one.run,
              end: how.kind === 'settle' ? settledAs(batch, how) : how,
            },
          ];
        });
        if (all.length === 0) return;
        const reports = all.map((tell) => reportOf(real, batch, tell));
        const again = Array.from({ length: count });
        const { replies, expectRead } = await readMeanwhile(model, real.room, () =>
          Promise.all(again.map(() => real.room.report(batch.id, ...reports))),
        );
        expect(replies).toEqual(again.map(() => model.tell(batch, all)));
        expectRead();
        await expectLedgerAs(model, real.room);
      },
      toString: () => `tell ${JSON.stringify({ at, list })} x${count}`,
    }));
}

function realOf({ runs }: RunReal, { name }: ModelRun): Run {
  const run = runs.get(name);
  if (run === undefined) throw new Error(`there is no run ${name}`);
  return run;
}

/** A new run, in the model and behind it. */
export function addRun(model: RunModel, real: RunReal, run: Run, of?: ModelRun['of']): ModelRun {
  const added: ModelRun = { name: runName(run), kind: run.kind, hasJob: false, ...(of && { of }) };
  model.runs.push(added);
  real.runs.set(added.name, run);
  return added;
}

/** Who has the claim on an item that was just taken. */
export function claimRun(score: number): Extract<Run, { kind: 'claim' }> {
  return { kind: 'claim', name: randomUUID(), score };
}
