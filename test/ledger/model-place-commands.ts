import fc from 'fast-check';
import { expect } from 'vitest';
import type { Claimed } from '../../src/ledger/waiting.ts';
import { LEASE_MS } from './ledger-room.ts';
import { expectLedgerAs, INSTANCES } from './model-judge.ts';
import { addRun, claimRun, instanceOf, type RunCommand, type RunReal } from './model-run-commands.ts';
import type { ModelRun, RunModel } from './model-runs.ts';
import type { ModelBatch } from './model.ts';

interface Waiting {
  readonly batch: ModelBatch;
  readonly n: number;
  readonly isDue: boolean;
}

function waitingOf(model: RunModel, real: RunReal, instanceId: string): Waiting[] {
  return model.batches.flatMap((batch) =>
    [...batch.items.keys()].flatMap((n) => {
      const wait = model.wait(batch, n);
      return wait === undefined || instanceOf(real, batch, n) !== instanceId ? [] : [{ batch, n, isDue: wait.isDue }];
    }),
  );
}

/** Moves an item's time, as the clock would; a claim that rests on it stays good. */
async function move(real: RunReal, model: RunModel, { batch, n }: Waiting, score: number): Promise<void> {
  const place = real.room.ledger.keys.waiting(instanceOf(real, batch, n));
  await real.room.redis.zadd(place, 'XX', score, `${batch.id} ${n}`);
  const run = real.runs.get(model.wait(batch, n)?.holder ?? '');
  if (run?.kind === 'claim') run.score = score;
}

/** One or two processes take what may go on. Which of the items they get is theirs to say; that nobody else gets them is not. */
export function claim(): fc.Arbitrary<RunCommand> {
  return fc
    .tuple(fc.constantFrom(...INSTANCES), fc.constantFrom(1, 2, 100), fc.constantFrom(1, 2))
    .map(([instanceId, most, count]): RunCommand => ({
      check: () => true,
      async run(model, real) {
        const waiting = waitingOf(model, real, instanceId);
        const due = waiting.filter(({ isDue }) => isDue);
        const free = new Map(
          due.filter(({ batch }) => batch.state !== 'paused').map((item) => [`${item.batch.id} ${item.n}`, item]),
        );
        const answers = await Promise.all(Array.from({ length: count }, () => real.room.claim(most, instanceId)));
        for (const { claims, nextInMs } of answers) {
          expect(claims).toHaveLength(Math.min(most, free.size));
          for (const { batch: id, n, score } of claims) {
            const item = free.get(`${id} ${n}`);
            expect(item).toBeDefined();
            free.delete(`${id} ${n}`);
            if (item === undefined) continue;
            const run = addRun(model, real, claimRun(score), { batch: id, n });
            model.setWait(item.batch, n, { isDue: false, holder: run.name });
          }
          expectNext(nextInMs, waiting.length, free.size);
        }
        await putOff(
          model,
          real,
          due.filter(({ batch }) => batch.state === 'paused'),
        );
        await expectLedgerAs(model, real.room);
      },
      toString: () => `claim ${most} of ${instanceId} x${count}`,
    }));
}

function expectNext(nextInMs: Claimed['nextInMs'], waiting: number, left: number): void {
  if (waiting === 0) expect(nextInMs).toBeUndefined();
  else if (left > 0) expect(nextInMs).toBe(0);
  else expect(nextInMs).toBeGreaterThan(0);
}

/** What is paused was put off for some seconds; here for longer than a test takes. */
async function putOff(model: RunModel, real: RunReal, paused: readonly Waiting[]): Promise<void> {
  const [seconds = 0] = await real.room.redis.time();
  for (const item of paused) {
    const { batch, n } = item;
    const place = await real.room.waiting(instanceOf(real, batch, n));
    expect(place.get(`${batch.id} ${n}`)).toBeLessThan((seconds + 7) * 1_000);
    model.setWait(batch, n, { isDue: false });
    await move(real, model, item, (seconds + LEASE_MS) * 1_000);
  }
}

/** Another one each time: a claim is known by the moment it rests on. */
let pastMs = 1_000;

/** Some items that wait may go on now, those with a claim too, which has passed then. */
export function timePasses(): fc.Arbitrary<RunCommand> {
  return fc
    .tuple(fc.constantFrom(...INSTANCES), fc.array(fc.nat(7), { maxLength: 3 }))
    .map(([instanceId, others]): RunCommand => ({
      check: () => true,
      async run(model, real) {
        const waiting = waitingOf(model, real, instanceId).filter((_, at) => !others.includes(at));
        for (const item of waiting) {
          pastMs += 1;
          await move(real, model, item, pastMs);
          const { batch, n } = item;
          model.setWait(batch, n, { ...model.wait(batch, n), isDue: true });
        }
        await expectLedgerAs(model, real.room);
      },
      toString: () => `time passes for ${instanceId}`,
    }));
}

/** Items that seem to be held by nothing wait. */
export function park(): fc.Arbitrary<RunCommand> {
  return fc.tuple(fc.nat(5), fc.array(fc.nat(7), { minLength: 1, maxLength: 4 })).map(([at, ordinals]): RunCommand => ({
    check: (model) => model.batches.length > 0,
    async run(model, real) {
      const batch = model.pick(at);
      if (batch === undefined) return;
      const { ledger } = real.room;
      for (const n of new Set(ordinals.map((ordinal) => ordinal % batch.items.length))) {
        await ledger.waiting.park(batch.id, instanceOf(real, batch, n), [n]);
        if (batch.items[n] === 'pending' && model.wait(batch, n) === undefined)
          model.setWait(batch, n, { isDue: true });
      }
      await expectLedgerAs(model, real.room);
    },
    toString: () => `park ${ordinals.join(' ')} of batch ${at}`,
  }));
}

/** A job is handed to a run, or its run loses it. */
async function hand(model: RunModel, real: RunReal, chosen: ModelRun, isTaken: boolean): Promise<void> {
  const run = real.runs.get(chosen.name);
  if (run?.kind !== 'job') return;
  for (const other of model.runs) {
    const known = real.runs.get(other.name);
    if (known?.kind === 'job' && known.lockKey === run.lockKey) other.hasJob = false;
  }
  chosen.hasJob = isTaken;
  if (isTaken) await real.room.redis.set(run.lockKey, run.token);
  else await real.room.redis.del(run.lockKey);
}

const JOBS = 4;
/** Before a script: two runs of one job, of which one has it, and two of others. */
export async function giveJobs(model: RunModel, real: RunReal): Promise<void> {
  const shared = real.room.joblessRun('shared');
  const runs = [shared, { ...shared, token: 'another' }, real.room.joblessRun(), real.room.joblessRun()];
  for (const run of runs) await hand(model, real, addRun(model, real, run), run.token !== 'another');
}

export function handJob(): fc.Arbitrary<RunCommand> {
  return fc.tuple(fc.nat(JOBS - 1), fc.constantFrom(true, true, false)).map(([at, isTaken]): RunCommand => ({
    check: () => true,
    async run(model, real) {
      const run = model.runs[at];
      if (run !== undefined) await hand(model, real, run, isTaken);
      await expectLedgerAs(model, real.room);
    },
    toString: () => `job ${at} ${isTaken ? 'taken' : 'lost'}`,
  }));
}

/** An item whose workers die again and again: two runs of one job in turn. */
export function crashes(): fc.Arbitrary<RunCommand> {
  return fc.tuple(fc.nat(5), fc.nat(7)).map(([at, ordinal]): RunCommand => ({
    check: (model) => model.batches.length > 0,
    async run(model, real) {
      const batch = model.pick(at);
      if (batch === undefined) return;
      const n = ordinal % batch.items.length;
      for (let time = 0; time < 22; time += 1) {
        const run = model.runs[time % 2];
        const known = run && real.runs.get(run.name);
        if (run === undefined || known === undefined) return;
        await hand(model, real, run, true);
        const call = { batch: batch.id, n, instanceId: instanceOf(real, batch, n), run: known };
        const { verdicts } = await real.room.noteAll([call]);
        expect(model.note(batch, [{ n, run }], 1, [])[0]?.split(' ')[0]).toBe(verdicts[0]?.kind);
      }
      await expectLedgerAs(model, real.room);
    },
    toString: () => `crashes of ${ordinal} of batch ${at}`,
  }));
}
