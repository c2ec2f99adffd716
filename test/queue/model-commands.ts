import fc from 'fast-check';
import { expect } from 'vitest';
import { OUTCOMES } from '../../src/core/batch.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import { requests } from '../ledger/model-commands.ts';
import { feeding, lateFeeding } from './model-feeding.ts';
import { expectAllAs } from './model-judge.ts';
import { ANSWERS, POINTS, type Point, type RunPlan } from './hand.ts';
import { MAX_STALLED, type FeederDeath, type HandStage } from './hand-stage.ts';
import { life, type ModelRun } from './model-life.ts';
import type { QueueModel, StoppedRun } from './model.ts';

/** What the commands work on; the ledger's own commands see the room in it. */
export interface Real {
  readonly room: HandStage;
  readonly manifests: readonly (readonly Certificate[])[];
  readonly standing: string;
  /** Certificates that other producers add jobs for. */
  readonly others: readonly Certificate[];
}

type Command = fc.AsyncCommand<QueueModel, Real>;
type Step = (model: QueueModel, stage: HandStage, real: Real) => Promise<void>;

/** What becomes of a process that is stopped: it is killed, or stalls for longer than its lock, or only takes its time. */
type Fate = 'dies' | 'stalls' | 'stays';

function command(name: string, step: Step, check: (model: QueueModel) => boolean = () => true): Command {
  return {
    check,
    async run(model, real) {
      await step(model, real.room, real);
      await expectAllAs(model, real.room);
    },
    toString: () => name,
  };
}

/** Of the ledger's commands, which know nothing of the queue: judged as the others are. */
function request(asked: fc.AsyncCommand<QueueModel, Real>): Command {
  return {
    check: (model) => asked.check(model),
    async run(model, real) {
      await asked.run(model, real);
      await expectAllAs(model, real.room);
    },
    toString: () => asked.toString(),
  };
}

/** Takes so many jobs, one after the other; a run that reaches the point is stopped there, and meets its fate. */
export function work(count: number, plan: RunPlan, early: boolean, stopAt?: Point, fate: Fate = 'stays'): Command {
  const { answers, grant } = plan;
  const end = stopAt === undefined ? '' : `, ${fate} at ${stopAt}`;
  return command(
    `work ${count} ${grant} [${answers.join(' ')}]${early ? ' early' : ''}${end}`,
    async (model, stage) => {
      for (let taken = 0; taken < count; taken += 1) {
        const real = await stage.takeIfAny(plan, early, stopAt);
        if (real === undefined) {
          if (early) expect([...model.jobs.values()].filter(({ place }) => place === 'waiting')).toEqual([]);
          return;
        }
        const job = model.jobs.get(real.id);
        if (job?.place !== 'waiting') throw new Error(`the job ${real.id} was handed out, and should not be ready`);
        if (job.stalls > MAX_STALLED) {
          job.place = 'failed';
          continue;
        }
        job.place = 'active';
        const run: ModelRun = { job, plan, name: real.process, holds: true };
        const rest = life(model, run, stage.standing);
        const isStopped = tell(rest, stopAt);
        expect({ id: real.id, isStopped: real.isStopped }).toEqual({ id: real.id, isStopped });
        if (isStopped) await meetFate(model, stage, { run, rest, process: real.process }, fate);
      }
    },
  );
}

/** @returns whether it has come to the point, rather than to its end */
function tell(rest: Generator<Point, void>, stopAt?: Point): boolean {
  for (;;) {
    const { done, value } = rest.next();
    if (done === true) return false;
    if (value === stopAt) return true;
  }
}

async function meetFate(model: QueueModel, stage: HandStage, one: StoppedRun, fate: Fate): Promise<void> {
  if (fate !== 'dies') model.stopped.push(one);
  if (fate === 'stays' || !one.run.holds) return;
  await stage.loseLock(one.run.job.id);
  model.stall(one.run);
}

/** Something happens to a process that is stopped. */
function stopped(
  name: string,
  at: number,
  step: (...args: [...Parameters<Step>, StoppedRun]) => Promise<void>,
): Command {
  return command(
    `${name} ${at}`,
    async (model, stage, real) => {
      const [one] = model.stopped.splice(at % model.stopped.length, 1);
      if (one !== undefined) await step(model, stage, real, one);
    },
    (model) => model.stopped.length > 0,
  );
}

export function goOn(at: number): Command {
  return stopped('go on', at, async (_model, stage, _real, { process, rest }) => {
    await stage.goOn(process);
    tell(rest);
  });
}

/** `isLate`: after so long that a cancellation is heard of, and an empty queue is a sign. */
export function feed(feeders: 1 | 2, isLate: boolean, death?: FeederDeath): Command {
  const end = death === undefined ? '' : death === 'stalls' ? ', stalls' : `, dies ${death}`;
  const how = `${isLate ? ' late' : ''}${feeders === 2 ? ' by two' : ''}${end}`;
  return command(`feed${how}`, async (model, stage) => {
    if (isLate) stage.passTime();
    await feeding(model, stage, feeders, death);
  });
}

/** A feeder that stalled goes on. */
export function goOnFeeding(at: number): Command {
  return command(`go on feeding ${at}`, async (model, stage) => {
    if (stage.stalledFeeders > 0) await lateFeeding(model, stage, at);
  });
}

export function sweep(): Command {
  return command('sweep', async (model, stage) => {
    const { ids, isDone } = await stage.sweep();
    for (const id of ids) {
      const job = model.jobs.get(id);
      if (job !== undefined && !model.sweep(stage.standing, job)) {
        expect(isDone).toBe(false);
        return;
      }
    }
    expect(isDone).toBe(true);
  });
}

/** Somebody settles once more what is settled. */
function settleAgain(at: number, chosen: number, outcome: (typeof OUTCOMES)[number]): Command {
  return command(`settle again ${chosen} of batch ${at} as ${outcome}`, async (model, stage) => {
    const batch = model.pick(at);
    const settled = [...(batch?.items.entries() ?? [])].filter(([, item]) => item !== 'pending');
    const [n] = settled[chosen % settled.length] ?? [];
    if (batch === undefined || n === undefined) return;
    expect(await stage.ledger.settle(stage.settlement(batch.id, n, outcome))).toBe('already');
  });
}

function addJob(which: number): Command {
  return command(`add other job ${which}`, async (model, stage, { others }) => {
    const certificate = others[which];
    if (certificate === undefined) return;
    await stage.addJob(`other-${which}`, certificate);
    model.addJob(`other-${which}`, certificate);
  });
}

function loseJobs(): Command {
  return command('Redis loses the jobs', async (model, stage) => {
    await stage.loseJobs();
    model.loseJobs();
  });
}

/** Any command, in proportions that keep items on their way for a while. */
export function commands(): fc.Arbitrary<Command> {
  const { submit, change, reopen, discard } = requests();
  const plan = fc.record({
    answers: fc.array(fc.constantFrom(...ANSWERS), { minLength: 1, maxLength: 5 }),
    grant: fc.constantFrom('slot', 'slot', 'slot', 'slot', 'probe', 'closed'),
  });
  const count = fc.integer({ min: 1, max: 4 });
  const index = fc.nat(5);
  const early = fc.constantFrom(true, true, false);
  const stop = fc.tuple(fc.constantFrom(...POINTS), fc.constantFrom<Fate>('dies', 'stalls', 'stays'));
  const feeders = fc.constantFrom<1 | 2>(1, 1, 2);
  const death = fc.constantFrom<FeederDeath>('before', 'between', 'after', 'stalls', 'stalls');
  const fated = (name: string, end: Fate): fc.Arbitrary<Command> =>
    index.map((at) => stopped(name, at, (model, stage, _, one) => meetFate(model, stage, one, end)));
  const works = fc.tuple(count, plan, early).map((args) => work(...args));
  const stops = fc.tuple(count, plan, early, stop).map(([much, what, when, end]) => work(much, what, when, ...end));
  const feeds = fc.tuple(feeders, fc.boolean()).map((args) => feed(...args));
  const deaths = fc.tuple(feeders, fc.boolean(), death).map((args) => feed(...args));
  const again = fc.tuple(index, fc.nat(20), fc.constantFrom(...OUTCOMES)).map((args) => settleAgain(...args));
  return fc.oneof(
    { weight: 8, arbitrary: works },
    { weight: 8, arbitrary: stops },
    { weight: 3, arbitrary: index.map(goOn) },
    { weight: 1, arbitrary: fated('die', 'dies') },
    { weight: 1, arbitrary: fated('stall', 'stalls') },
    { weight: 5, arbitrary: feeds },
    { weight: 3, arbitrary: deaths },
    { weight: 2, arbitrary: index.map(goOnFeeding) },
    { weight: 1, arbitrary: fc.constant(sweep()) },
    { weight: 1, arbitrary: submit.map(request) },
    { weight: 4, arbitrary: reopen.map(request) },
    { weight: 1, arbitrary: discard.map(request) },
    { weight: 3, arbitrary: change.map(request) },
    { weight: 1, arbitrary: again },
    { weight: 2, arbitrary: fc.nat(2).map(addJob) },
    { weight: 1, arbitrary: fc.constant(loseJobs()) },
  );
}
