import type { Job as BullJob } from 'bullmq';
import { expect } from 'vitest';
import type { Point, RunPlan } from '../hand.ts';
import type { ModelItem, ModelJob, ModelRun } from './model.ts';
import { command, type Command, type Real } from './real.ts';

/** What becomes of a process that is stopped: it is killed, or stalls for longer than its lock or claim, or only takes its time. */
export type Fate = 'dies' | 'stalls' | 'stays';

/** A process that is stopped. */
export interface StoppedHand {
  readonly process: string;
  /** Of its job; none where it has claims. */
  readonly run?: ModelRun;
  readonly claims: readonly ModelItem[];
  /** Says that it has gone on to its end. */
  readonly end: () => void;
}

/** What a job's start comes to. */
type Start =
  /** It waits for the feeder, or for the direct batch to take it in. */
  | { readonly kind: 'again' }
  /** Nothing is left of it to do; what it held waits. */
  | { readonly kind: 'over'; readonly parked: readonly ModelItem[] }
  | { readonly kind: 'works'; readonly items: readonly ModelItem[] };

/** One job. @returns whether there was one */
export async function worked(
  real: Real,
  plan: RunPlan,
  early: boolean,
  stops: readonly (Point | undefined)[],
  fate: Fate,
): Promise<boolean> {
  const { model, room, lives } = real;
  let begun: { job: ModelJob; run: ModelRun; start: Start } | undefined;
  const taken = await room.takeJob(plan, early, stops, async (bull, process) => {
    const job = model.jobs.get(bull.id ?? '');
    if (job?.place !== 'waiting') throw new Error(`the job ${bull.id} was handed out, and should not be ready`);
    if (job.stalls > real.maxStalled) return void (job.place = 'failed');
    job.place = 'active';
    const run: ModelRun = { name: nameOf(real, bull, process), process, jobId: job.id, holds: true };
    lives.begin(run);
    begun = { job, run, start: await startOf(real, job, plan) };
  });
  if (taken === undefined) {
    if (early) expect([...model.jobs.values()].filter(({ place }) => place === 'waiting')).toEqual([]);
    return false;
  }
  if (begun === undefined) return true;
  const { job, run, start } = begun;
  if (start.kind === 'over') model.park(start.parked);
  const end = (): void => endJob(real, job, run, start);
  if (!taken.isStopped) end();
  else await meetFate(real, { process: taken.process, run, claims: [], end }, fate);
  return true;
}

/** Items that wait. */
export async function claimed(
  real: Real,
  plan: RunPlan,
  early: boolean,
  stops: readonly (Point | undefined)[],
  fate: Fate,
  most: number,
): Promise<void> {
  const { model, room, lives } = real;
  if (early) await wake(real);
  const items: ModelItem[] = [];
  const taken = await room.takeWaiting(plan, stops, most, async (claims, process) => {
    for (const { batch, n } of claims) {
      const item = model.itemAt(batch, n);
      const isFree = item.waits && (item.claim === undefined || !isStopped(real, item.claim));
      expect({ batch, n, isFree, state: item.at?.batch.state === 'paused' }).toEqual({
        batch,
        n,
        isFree: true,
        state: false,
      });
      const run: ModelRun = { name: `~${batch}-${n}-${room.handOf(process)}`, process, holds: true };
      model.claim(item, run);
      lives.begin(run);
      items.push(item);
    }
  });
  if (taken === undefined) return;
  const { process } = taken;
  const isKnown = ({ at }: ModelItem): boolean =>
    at !== undefined && (model.batches.includes(at.batch) || at.batch.manifest === undefined);
  const known = items.filter(isKnown);
  // Those of a batch that was forgotten stand for nothing any more.
  for (const item of items.filter((one) => !isKnown(one))) model.leave(item);
  const end = (): void => {
    const lived = lives.of(process).map(({ item }) => item);
    expect(new Set(lived)).toEqual(new Set(known));
    expect(lives.of(process).map(({ next }) => next.kind)).toEqual(lived.map(() => 'nothing'));
  };
  if (!taken.isStopped) end();
  else await meetFate(real, { process, claims: items, end }, fate);
}

/** Something happens to a process that is stopped. */
export function stopped(name: string, at: number, step: (real: Real, one: StoppedHand) => Promise<void>): Command {
  return command(name, async (real) => {
    const [one] = real.hands.splice(at % Math.max(1, real.hands.length), 1);
    if (one !== undefined) await step(real, one);
  });
}

export async function meetFate(real: Real, one: StoppedHand, fate: Fate): Promise<void> {
  const { model, room, hands } = real;
  if (fate !== 'dies') hands.push(one);
  if (fate === 'stays') return;
  if (one.run?.holds === true) {
    await room.loseLock(one.run.jobId ?? '');
    one.run.holds = false;
    model.stall(one.run.jobId ?? '');
  }
  const expired = one.claims.filter(({ claim }) => claim?.process === one.process);
  const members = new Set(expired.map(memberOf));
  await room.wake((member) => members.has(member));
  for (const item of expired) model.loseClaim(item);
}

/** The time of all that waits has come, but for what a process has that is alive. */
async function wake(real: Real): Promise<void> {
  const free = real.model.items.filter(({ waits, claim }) => waits && (claim === undefined || !isStopped(real, claim)));
  const members = new Set(free.map(memberOf));
  await real.room.wake((member) => members.has(member));
  for (const item of free) real.model.loseClaim(item);
}

function isStopped({ hands }: Real, { process }: ModelRun): boolean {
  return hands.some((one) => one.process === process);
}

async function startOf(real: Real, job: ModelJob, plan: RunPlan): Promise<Start> {
  const { model, room, cursor } = real;
  const { block } = job;
  if (block === undefined) {
    if (!model.adoptJob(room.direct, job) || job.item === undefined) return { kind: 'again' };
    return { kind: 'works', items: [job.item] };
  }
  const batch = model.batches.find(({ id }) => id === block.batch);
  if (batch === undefined) return { kind: 'over', parked: [] };
  if ((await cursor(block)) < block.to) return { kind: 'again' };
  const items = model.itemsOf(block);
  const isHalted = room.world.isHalted && plan.isUnaware !== true && plan.grant !== 'probe';
  return batch.state === 'paused' || isHalted ? { kind: 'over', parked: items } : { kind: 'works', items };
}

/** The run has gone on to its end. Without its lock it can change nothing of its job. */
function endJob({ model, lives }: Real, job: ModelJob, run: ModelRun, start: Start): void {
  const lived = lives.of(run.process);
  const items = start.kind === 'works' ? start.items : [];
  expect(lived.map(({ item }) => item.at?.n)).toEqual(items.map(({ at }) => at?.n));
  expect(lived.map(({ next }) => next.kind)).toEqual(items.map(() => 'nothing'));
  if (!run.holds) return;
  run.holds = false;
  if (start.kind === 'again' || lived.some(({ stays }) => stays === true)) job.place = 'waiting';
  else model.jobs.delete(job.id);
}

function nameOf({ room }: Real, { queueName, id }: BullJob, process: string): string {
  return `${room.keys.prefix}:${queueName}:${id ?? ''}:lock ${process}`;
}

function memberOf({ at }: ModelItem): string {
  return `${at?.batch.id ?? ''} ${at?.n ?? ''}`;
}
