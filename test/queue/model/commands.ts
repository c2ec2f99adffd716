import fc from 'fast-check';
import { expect } from 'vitest';
import { requests } from '../../ledger/model-commands.ts';
import { ANSWERS, ITEM_POINTS, JOB_POINTS, type Point, type RunPlan } from '../hand.ts';
import { INSTANCES, type FeederDeath } from '../hand-stage.ts';
import { feeding, lateFeeding } from './feeding.ts';
import { claimed, meetFate, stopped, worked, type Fate } from './hands.ts';
import { isPending } from './model.ts';
import { command, request, type Command } from './real.ts';

/** Takes so many jobs, one after the other; where its items, or the job, come to the points they are stopped, and meet their fate. */
export function work(
  count: number,
  plan: RunPlan,
  early: boolean,
  stops: readonly (Point | undefined)[],
  fate: Fate,
): Command {
  return command(`work ${count}${early ? ' early' : ''} ${told(plan, stops, fate)}`, async (real) => {
    for (let taken = 0; taken < count; taken += 1) if (!(await worked(real, plan, early, stops, fate))) return;
  });
}

/** Takes items that wait, at most so many of each instance. @param early - also those whose time has not come */
export function claim(
  most: number,
  plan: RunPlan,
  early: boolean,
  stops: readonly (Point | undefined)[],
  fate: Fate,
): Command {
  return command(`claim ${most}${early ? ' early' : ''} ${told(plan, stops, fate)}`, (real) =>
    claimed(real, plan, early, stops, fate, most),
  );
}

function told(
  { answers, grant, slots, isUnaware }: RunPlan,
  stops: readonly (Point | undefined)[],
  fate: Fate,
): string {
  const end = stops.length === 0 ? '' : `, ${fate} at ${stops.map((point) => point ?? '-').join(' ')}`;
  return `${grant} of ${slots ?? 'all'}${isUnaware === true ? ' unaware' : ''} [${answers.join(' ')}]${end}`;
}

/** A process that was stopped goes on, or leaves. */
export function goOn(at: number, how: 'goes on' | 'leaves'): Command {
  return stopped(`${how} ${at}`, at, async ({ room, lives }, one) => {
    if (how === 'leaves') lives.leaving.add(one.process);
    await (how === 'leaves' ? room.leave(one.process) : room.goOn(one.process));
    one.end();
  });
}

/** `isLate`: after so long that what nothing holds is lost. */
export function feed(feeders: 1 | 2, isLate: boolean, death?: FeederDeath): Command {
  const end = death === undefined ? '' : death === 'stalls' ? ', stalls' : `, dies ${death}`;
  return command(`feed${isLate ? ' late' : ''}${feeders === 2 ? ' by two' : ''}${end}`, async ({ model, room }) => {
    if (isLate) room.passTime();
    await feeding(model, room, feeders, death);
  });
}

/** A feeder that stalled goes on. */
export function goOnFeeding(at: number): Command {
  return command(`go on feeding ${at}`, async ({ model, room }) => {
    if (room.stalledFeeders > 0) await lateFeeding(model, room, at);
  });
}

/** What BullMQ gave up: a block's items wait, the item of a single job is dead, unless something else has it. */
export function sweep(): Command {
  return command('sweep', async ({ model, room, cursor }) => {
    const cursors = new Map<string, number>();
    for (const { id, block, place } of model.jobs.values()) {
      if (place === 'failed' && block !== undefined) cursors.set(id, await cursor(block));
    }
    const { ids, isDone } = await room.sweep();
    for (const id of ids) {
      const job = model.jobs.get(id);
      if (job === undefined) throw new Error(`the job ${id} is not there`);
      if (job.block !== undefined) {
        if ((cursors.get(id) ?? 0) >= job.block.to) model.park(model.itemsOf(job.block));
      } else if (!model.adoptJob(room.direct, job)) {
        expect(isDone).toBe(false);
        return;
      } else if (job.item !== undefined && isPending(job.item)) {
        const { note, unknown } = job.item.record;
        const isElsewhere = job.item.waits || (note?.jobId !== undefined && note.holds);
        if (!isElsewhere) model.end(job.item, 'dead', false, unknown || note !== undefined);
      }
      model.jobs.delete(id);
    }
    expect(isDone).toBe(true);
  });
}

/** Another producer adds a job, perhaps again. */
export function addJob(which: number): Command {
  return command(`add other job ${which}`, async ({ model, room, others }) => {
    const certificate = others[which];
    const id = `other-${which}`;
    if (certificate === undefined) return;
    await room.addJob(id, certificate);
    if (!model.jobs.has(id)) model.jobs.set(id, { id, certificate, place: 'waiting', stalls: 0 });
  });
}

/** A producer adds a job for an item that was taken in already. */
export function addAgain(which: number): Command {
  return command(`add job of taken item ${which}`, async ({ model, room }) => {
    const adopted = [...(model.batches.find(({ id }) => id === room.direct)?.adopted ?? [])];
    const [key, n] = adopted[which % Math.max(1, adopted.length)] ?? [];
    if (key === undefined || n === undefined) return;
    const item = model.itemAt(room.direct, n);
    const { certificate } = item;
    await room.queues.addDirect({ batch: room.direct, n, certificate, key }, 'urgent');
    const id = `${room.direct}.${n}`;
    if (!model.jobs.has(id)) model.jobs.set(id, { id, item, certificate, place: 'waiting', stalls: 0 });
    item.lost = false;
  });
}

function lose(what: 'jobs' | (typeof INSTANCES)[number]): Command {
  return command(`Redis loses ${what === 'jobs' ? what : `what waits of ${what}`}`, async ({ model, room, hands }) => {
    if (what === 'jobs') {
      await room.loseJobs();
      for (const { run } of hands) if (run !== undefined) run.holds = false;
      model.loseJobs();
    } else {
      await room.loseWaiting(what);
      model.loseWaiting(what);
    }
  });
}

/** Somebody changes the CA, or activates every certificate. */
function operate(what: 'inactivates the CA' | 'activates the CA' | 'activates all'): Command {
  return command(`somebody ${what}`, async ({ room }) => {
    if (what === 'activates all') room.world.inactive.clear();
    else room.world.isCaActive = what === 'activates the CA';
    return Promise.resolve();
  });
}

/** A finished batch is taken out of Redis. */
export function forget(at: number): Command {
  return command(`forget ${at}`, async ({ model, room }) => {
    const batch = model.pick(at);
    if (batch === undefined) return;
    const isForgotten = (await room.ledger.batches.forget(batch.id)) === 'forgotten';
    expect(isForgotten).toBe(model.forget(batch));
  });
}

/** As `openStage` makes them. */
const MANIFESTS = 5;

/** Any command, in proportions that keep items on their way for a while. */
export function commands(): fc.Arbitrary<Command> {
  const { submit, change, reopen, discard } = requests(MANIFESTS);
  const plan: fc.Arbitrary<RunPlan> = fc.record(
    {
      answers: fc.array(fc.constantFrom(...ANSWERS), { minLength: 1, maxLength: 5 }),
      grant: fc.constantFrom('slot', 'slot', 'slot', 'slot', 'probe', 'closed', 'noted-closed', 'unused'),
      slots: fc.integer({ min: 1, max: 3 }),
      isUnaware: fc.boolean(),
    },
    { requiredKeys: ['answers', 'grant'] },
  );
  const index = fc.nat(5);
  const early = fc.constantFrom(true, true, false);
  const point = fc.constantFrom<(Point | undefined)[]>(...ITEM_POINTS, undefined);
  const stops = fc.oneof(
    { weight: 4, arbitrary: fc.array(point, { minLength: 1, maxLength: 4 }) },
    { weight: 1, arbitrary: fc.constantFrom<Point>(...JOB_POINTS).map((job) => [job]) },
  );
  const noStops = fc.constant<Point[]>([]);
  const fate = fc.constantFrom<Fate>('dies', 'stalls', 'stays');
  const feeders = fc.constantFrom<1 | 2>(1, 1, 2);
  const death = fc.constantFrom<FeederDeath>('before', 'between', 'after', 'stalls', 'stalls');
  const count = fc.integer({ min: 1, max: 4 });
  const works = (which: typeof stops | typeof noStops): fc.Arbitrary<Command> =>
    fc.tuple(count, plan, early, which, fate).map((args) => work(...args));
  const claims = (which: typeof stops | typeof noStops): fc.Arbitrary<Command> =>
    fc.tuple(count, plan, early, which, fate).map((args) => claim(...args));
  const fated = (name: Fate): fc.Arbitrary<Command> =>
    index.map((at) => stopped(name, at, (real, one) => meetFate(real, one, name)));
  return fc.oneof(
    { weight: 6, arbitrary: works(noStops) },
    { weight: 8, arbitrary: works(stops) },
    { weight: 4, arbitrary: claims(noStops) },
    { weight: 6, arbitrary: claims(stops) },
    { weight: 4, arbitrary: index.map((at) => goOn(at, 'goes on')) },
    { weight: 1, arbitrary: index.map((at) => goOn(at, 'leaves')) },
    { weight: 1, arbitrary: fated('dies') },
    { weight: 2, arbitrary: fated('stalls') },
    { weight: 5, arbitrary: fc.tuple(feeders, fc.boolean()).map((args) => feed(...args)) },
    { weight: 3, arbitrary: fc.tuple(feeders, fc.boolean(), death).map((args) => feed(...args)) },
    { weight: 2, arbitrary: index.map(goOnFeeding) },
    { weight: 1, arbitrary: fc.constant(sweep()) },
    { weight: 1, arbitrary: submit.map(request) },
    { weight: 4, arbitrary: reopen.map(request) },
    { weight: 1, arbitrary: discard.map(request) },
    { weight: 3, arbitrary: change.map(request) },
    { weight: 3, arbitrary: fc.nat(2).map(addJob) },
    { weight: 4, arbitrary: fc.nat(2).map(addAgain) },
    { weight: 1, arbitrary: fc.constantFrom('jobs' as const, ...INSTANCES).map(lose) },
    { weight: 1, arbitrary: index.map(forget) },
    {
      weight: 2,
      arbitrary: fc
        .constantFrom('inactivates the CA' as const, 'activates the CA' as const, 'activates all' as const)
        .map(operate),
    },
  );
}
