import type { Outcome } from '../../src/core/batch.ts';
import { TRIAL_REFUSALS } from '../../src/queue/key-renewal.ts';
import { ATTEMPTS, type AnswerKind, type Point, type RunPlan } from './hand.ts';
import type { ModelItem, ModelJob, QueueModel } from './model.ts';

/** One start of a job, in the hands of one process. */
export interface ModelRun {
  readonly job: ModelJob;
  readonly plan: RunPlan;
  /** It has the job's lock. Without it another process may have the job, and knows that this start is open. */
  holds: boolean;
}

/** What this run knows of its item: no more than its job told when it began. */
interface Trail {
  failures: number;
  unsure: boolean;
}

/** A run from its start to its end, as a person would tell it; stops at each point. */
export function* life(model: QueueModel, run: ModelRun, standing: string): Generator<Point, void> {
  const { job, plan } = run;
  const answers = [...plan.answers];
  if (!model.adoptJob(standing, job)) return yield* waits(run, job);
  const { item } = job;
  const known: Trail = { failures: job.failures, unsure: job.unsure };
  let refusals = 0;
  known.unsure ||= job.isOpen && item.departed;
  if (!model.isOver(job)) item.unsure ||= known.unsure;
  job.isOpen = true;
  for (;;) {
    const before = gate(item, known);
    if (before === 'paused') return yield* waits(run, known);
    if (before === 'cancelled') return yield* settles(model, run, 'cancelled');
    yield 'slot';
    const isProbe = model.isHalted && plan.grant === 'probe';
    if (plan.grant === 'closed' || (model.isHalted && !isProbe)) return yield* waits(run, known);
    const after = gate(item, known);
    if (after === 'paused') return yield* waits(run, known);
    if (after === 'cancelled') return yield* settles(model, run, 'cancelled');
    // Without the lock another process may have the job, and could not know of this call.
    if (!run.holds) return;
    if (model.isOver(job)) return yield* over(model, run);
    item.departed = true;
    yield 'sent';
    const answer = call(model, item, answers.shift() ?? 'honest');
    yield 'answered';
    switch (answer) {
      case 'deleted':
        if (isProbe) model.isHalted = false;
        return yield* settles(model, run, 'revoked');
      case 'not-found':
        if (isProbe) model.isHalted = false;
        // It was there when the run began; if one of our calls may have taken it away, it did.
        return yield* settles(model, run, known.unsure ? 'by-absence' : 'already-gone');
      case 'refused':
        if (isProbe) model.isHalted = false;
        return yield* settles(model, run, 'dead');
      case 'throttled':
        return yield* waits(run, known);
      case 'void':
        break;
      case 'forbidden':
        model.isHalted = true;
        break;
      case 'old-token':
        // The first one has the token fetched anew, and that one has its trial of some calls.
        if (refusals >= TRIAL_REFUSALS) model.isHalted = true;
        refusals += 1;
        break;
      case 'lost-before':
      case 'lost-after':
      case 'garbled-after':
      case 'nonce':
      case 'busy':
      case 'unreachable': {
        if (answer !== 'nonce' && answer !== 'busy' && answer !== 'unreachable') known.unsure = item.unsure = true;
        known.failures += 1;
        if (known.failures >= ATTEMPTS) return yield* settles(model, run, 'dead');
        if (answer !== 'nonce') return yield* waits(run, known);
      }
    }
  }
}

/** A call may be made for an item of a running batch; of a cancelled one only to learn what became of an earlier call. */
function gate({ at }: ModelItem, { unsure }: Trail): 'go' | 'paused' | 'cancelled' {
  if (at?.batch.state === 'paused') return 'paused';
  return at?.batch.state === 'cancelled' && !unsure ? 'cancelled' : 'go';
}

function call(
  model: QueueModel,
  item: ModelItem,
  kind: AnswerKind,
): Exclude<AnswerKind, 'honest'> | 'deleted' | 'not-found' {
  const { deviceSn } = item.certificate;
  if (kind !== 'void') model.calls.push(deviceSn);
  if (kind !== 'honest' && kind !== 'lost-after' && kind !== 'garbled-after') return kind;
  const isThere = model.registered.delete(deviceSn);
  item.ours ||= isThere;
  if (kind !== 'honest') return kind;
  return isThere ? 'deleted' : 'not-found';
}

/** Without the lock, only what is certainly true is written: the API said that our call did it. */
function* settles(model: QueueModel, run: ModelRun, outcome: Outcome | 'by-absence'): Generator<Point, void> {
  const { at } = run.job.item;
  const byAbsence = outcome === 'by-absence';
  const isRevoked = outcome === 'revoked' || byAbsence;
  if (at === undefined || (!run.holds && !isRevoked)) return;
  // Of an item that is tried again as another job, it can only tell a success.
  if (outcome === 'dead' && !model.isOver(run.job)) run.job.item.deaths = run.job.deaths;
  if (isRevoked || !model.isOver(run.job)) model.settle(at.batch, at.n, byAbsence ? 'revoked' : outcome, byAbsence);
  yield* over(model, run);
}

function* over(model: QueueModel, run: ModelRun): Generator<Point, void> {
  yield 'ended';
  if (run.holds) model.jobs.delete(run.job.id);
}

function* waits(run: ModelRun, { failures, unsure }: Trail): Generator<Point, void> {
  if (!run.holds) return;
  Object.assign(run.job, { failures, unsure, isOpen: false });
  yield 'written';
  if (run.holds) run.job.place = 'waiting';
}
