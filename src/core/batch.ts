/** An item's end, and the field of the record, and of the JSON of `status`, that counts it. */
export const COUNT_FIELD = {
  revoked: 'revoked',
  'already-gone': 'alreadyGone',
  inactivated: 'inactivated',
  'already-inactive': 'alreadyInactive',
  activated: 'activated',
  'already-active': 'alreadyActive',
  'kept-active': 'keptActive',
  dead: 'dead',
  cancelled: 'cancelled',
} as const;
export type Outcome = keyof typeof COUNT_FIELD;
export const OUTCOMES = Object.keys(COUNT_FIELD) as readonly Outcome[] as readonly [Outcome, ...Outcome[]];

export const BATCH_STATES = ['planned', 'running', 'paused', 'completed', 'cancelled'] as const;
export type BatchState = (typeof BATCH_STATES)[number];

/** What moves a batch. `drain` is the last settle, `reopen` a retried dead letter. */
export type BatchEvent = 'activate' | 'pause' | 'resume' | 'cancel' | 'drain' | 'reopen';

/** The transitions; an event that is not in a state's row is refused. */
export const TRANSITIONS: Readonly<Record<BatchState, Partial<Readonly<Record<BatchEvent, BatchState>>>>> = {
  planned: { activate: 'running', cancel: 'cancelled' },
  running: { pause: 'paused', cancel: 'cancelled', drain: 'completed', reopen: 'running' },
  // A paused batch still settles what was in flight, and that may be its last item. A direct batch stays paused then: its next job would run.
  paused: { resume: 'running', cancel: 'cancelled', drain: 'completed', reopen: 'paused' },
  completed: { reopen: 'running' },
  cancelled: {},
};

/** The state after the event, or undefined where the event has no place. */
export function transition(state: BatchState, event: BatchEvent): BatchState | undefined {
  return TRANSITIONS[state][event];
}

type CountField = 'accepted' | (typeof COUNT_FIELD)[Outcome];
/** Counted of every batch, whatever it does. */
type AlwaysCounted = 'accepted' | 'revoked' | 'alreadyGone' | 'dead' | 'cancelled';
/** How many items were accepted, and how many ended in each way. Those of other actions than the batch's are absent. */
export type Counts = Readonly<Record<AlwaysCounted, number> & Partial<Record<CountField, number>>>;

/** The names of all counts. */
export const COUNTED: readonly CountField[] = ['accepted', ...OUTCOMES.map((outcome) => COUNT_FIELD[outcome])];

export function settledOf(counts: Counts): number {
  return OUTCOMES.reduce((sum, outcome) => sum + (counts[COUNT_FIELD[outcome]] ?? 0), 0);
}

/** `accepted` is the sum of all outcomes and of what is pending, at every moment; negative would be an invention. */
export function pendingOf(counts: Counts): number {
  return counts.accepted - settledOf(counts);
}

export interface BreakerPolicy {
  /** Share of dead items, 0 to 1, above which a batch pauses itself. */
  readonly maxDeadShare: number;
  /** Settled items before the share means anything. */
  readonly minSample: number;
}

/** A direct batch never ends, so it is judged by its last settled items. */
export const DIRECT_WINDOW = 1_000;

export const DEFAULT_BREAKER: BreakerPolicy = { maxDeadShare: 0.05, minSample: 100 };
/** How far a new batch is fed before the items so far have settled well: 10, then 100, then all. */
export const RAMP_STEPS: readonly number[] = [10, 100];

export type BreakerVerdict =
  | { readonly kind: 'feed'; readonly upTo: number }
  | { readonly kind: 'pause'; readonly settled: number; readonly dead: number };

/**
 * Whether a direct batch must pause.
 * @param settled - of the last `DIRECT_WINDOW` items since an operator resumed it, or fewer
 */
export function directVerdict(
  { settled, dead }: { readonly settled: number; readonly dead: number },
  policy: BreakerPolicy,
): BreakerVerdict {
  const counts = { accepted: settled, revoked: settled - dead, alreadyGone: 0, dead, cancelled: 0 };
  return breakerVerdict(counts, 0, true, policy);
}

/**
 * How far a batch may be fed, or that it must pause because so many of its settled items are dead that the manifest, not
 * the items, is the likely fault. One dead item never stops a batch.
 * @param counts - since the batch began, or since an operator resumed it
 * @param fed - items handed to the queue since the batch began
 * @param resumed - an operator has looked at it: no ramp any more
 */
export function breakerVerdict(counts: Counts, fed: number, resumed: boolean, policy: BreakerPolicy): BreakerVerdict {
  const settled = settledOf(counts);
  const pause: BreakerVerdict = { kind: 'pause', settled, dead: counts.dead };
  const tooMany = counts.dead > Math.max(1, settled * policy.maxDeadShare);
  if (settled >= policy.minSample && tooMany) return pause;
  for (const step of resumed ? [] : RAMP_STEPS) {
    // First, so that a step of which too much was fed is waited for anyway.
    if (settled < Math.min(step, counts.accepted)) return { kind: 'feed', upTo: step };
    // Judged once, where the step ends: in between, a few early deaths say nothing yet.
    if (fed <= step && tooMany) return pause;
  }
  return { kind: 'feed', upTo: Number.POSITIVE_INFINITY };
}
