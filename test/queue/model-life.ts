import type { Outcome } from '../../src/core/batch.ts';
import { TRIAL_REFUSALS } from '../../src/queue/key-renewal.ts';
import { ATTEMPTS, type AnswerKind, type Point, type RunPlan } from './hand.ts';
import type { ModelItem, ModelJob, QueueModel } from './model.ts';

/** One start of a job, in the hands of one process. */
export interface ModelRun {
  readonly job: ModelJob;
  readonly plan: RunPlan;
  /** No other run has it. */
  readonly name: string;
  /** It has the job's lock. Without it another process may have the job. */
  holds: boolean;
}

/** What this run knows of its item: at first, no more than its job tells. */
interface Known {
  failures: number;
  unsure: boolean;
  /** The run of whose call its job told when this one began. */
  readonly told: string;
  hasNoted: boolean;
  hasCalled: boolean;
}

/** A run from its start to its end, as a person would tell it; stops at each point. */
export function* life(model: QueueModel, run: ModelRun, standing: string): Generator<Point, void> {
  const { job, plan } = run;
  const answers = [...plan.answers];
  const { failures, unsure, told } = job;
  const known: Known = { failures, unsure, told, hasNoted: false, hasCalled: false };
  // It could not be taken in, and so nothing is written of it.
  if (!model.adoptJob(standing, job)) return yield* waits(run, known);
  const { item } = job;
  let refusals = 0;
  for (;;) {
    const before = yield* gate(model, run, known);
    if (before === 'paused') return yield* waits(run, known);
    if (before === 'ended') return;
    yield 'slot';
    // Its slot is near: the call is noted, also where it does not leave then. Without the lock it is not.
    if (run.holds && !model.isOver(job)) {
      known.unsure ||= isUntold(run, known);
      item.note = run.name;
      known.hasNoted = true;
    }
    const isProbe = model.isHalted && plan.grant === 'probe';
    if (plan.grant === 'closed' || (model.isHalted && !isProbe)) return yield* waits(run, known);
    // Without the lock another process may have the job, and could not know of this call.
    if (!run.holds) return;
    if (model.isOver(job)) return yield* over(model, run);
    const after = yield* gate(model, run, known);
    if (after === 'paused') return yield* waits(run, known);
    if (after === 'ended') return;
    known.hasCalled = true;
    yield 'sent';
    const answer = call(model, item, answers.shift() ?? 'honest');
    yield 'answered';
    switch (answer) {
      case 'deleted':
        if (isProbe) model.isHalted = false;
        return yield* settles(model, run, known, 'revoked');
      case 'not-found':
        if (isProbe) model.isHalted = false;
        // It was there when the run began; if one of our calls may have taken it away, it did.
        return yield* settles(model, run, known, known.unsure ? 'by-absence' : 'already-gone');
      case 'refused':
        if (isProbe) model.isHalted = false;
        return yield* settles(model, run, known, 'dead');
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
        // No connection was made; every other one of them may have arrived, and worked.
        if (answer !== 'unreachable') known.unsure = true;
        known.failures += 1;
        if (known.failures >= ATTEMPTS) return yield* settles(model, run, known, 'dead');
        if (answer !== 'nonce') return yield* waits(run, known);
      }
    }
  }
}

/** Another run has noted a call of the item, and this one cannot know what became of it. */
function isUntold({ job: { item }, name }: ModelRun, { told }: Known): boolean {
  return item.note !== undefined && item.note !== name && item.note !== told;
}

/** A call may be made for an item of a running batch; of a cancelled one only to learn what became of an earlier call. */
function* gate(model: QueueModel, run: ModelRun, known: Known): Generator<Point, 'go' | 'paused' | 'ended'> {
  const state = run.job.item.at?.batch.state;
  if (state === 'paused') return 'paused';
  if (state !== 'cancelled' || (known.hasCalled && known.unsure)) return 'go';
  yield 'settling';
  if (!model.isOver(run.job)) {
    if (!run.holds) return 'ended';
    known.unsure ||= isUntold(run, known);
    if (known.unsure) return 'go';
    model.end(run.job.item, 'cancelled', false);
  }
  yield* over(model, run);
  return 'ended';
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

/** Without the lock, or over the call of another run, only what is certainly true is written: the API said that our call did it. */
function* settles(
  model: QueueModel,
  run: ModelRun,
  known: Known,
  outcome: Outcome | 'by-absence',
): Generator<Point, void> {
  const { item } = run.job;
  yield 'settling';
  const isRevoked = outcome === 'revoked' || outcome === 'by-absence';
  if (!isRevoked && !model.isOver(run.job)) {
    if (!run.holds) return;
    if (!known.unsure && isUntold(run, known)) {
      known.unsure = true;
      return yield* settles(model, run, known, outcome === 'already-gone' ? 'by-absence' : outcome);
    }
  }
  // Of an item that is tried again as another job, it can only tell a success.
  if (isRevoked || !model.isOver(run.job)) model.end(item, outcome, known.unsure);
  yield* over(model, run);
}

function* over(model: QueueModel, run: ModelRun): Generator<Point, void> {
  yield 'ended';
  if (run.holds) model.jobs.delete(run.job.id);
}

function* waits(run: ModelRun, { failures, unsure, told, hasNoted }: Known): Generator<Point, void> {
  if (!run.holds) return;
  Object.assign(run.job, { failures, unsure, told: hasNoted ? run.name : told });
  yield 'written';
  if (run.holds) run.job.place = 'waiting';
}
