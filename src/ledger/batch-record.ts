import { actionNamed, countsOf, DEFAULT_ACTION, type Action } from '../core/action.ts';
import { BATCH_STATES, OUTCOMES, type BatchState, type Counts, type Outcome } from '../core/batch.ts';
import { parseAwaiting, type Awaiting } from './awaiting.ts';
import { parseRetirement, type Retirement } from './retirement.ts';

export type Priority = 'urgent' | 'bulk';

/** Urgent batches are fed before bulk ones. */
export const FEED_RANK: Readonly<Record<Priority, number>> = { urgent: 0, bulk: 1 };

/** What is known of a batch besides its items. Times are Unix milliseconds. */
export interface Batch {
  readonly id: string;
  /** What it does with its certificates. */
  readonly action: Action;
  readonly state: BatchState;
  readonly counts: Counts;
  /** Of `revoked`: those whose deletion was confirmed by absence after a lost answer. */
  readonly confirmedByAbsence: number;
  /** Settled items of a direct batch that were taken out of Redis; they stay counted. */
  readonly forgotten: number;
  readonly priority: Priority;
  readonly submittedAt: number;
  readonly completedAt?: number;
  readonly requestedBy?: string;
  readonly reason?: string;
  /** Over the bytes of its manifest; absent where it came from the library, or from an older version. */
  readonly manifestSha256?: string;
  /** Of the plan file that it was submitted from. */
  readonly planId?: string;
  /** What the last `certsweep verify` found. */
  readonly verified?: Verified;
  /** Why it is paused, for people. */
  readonly pausedBecause?: string;
  /** Planned, and not to run before somebody else has approved it. */
  readonly awaiting?: Awaiting;
  /** The window of its schedule has paused it, and nobody else. */
  readonly isOutsideWindow?: true;
  /** Items handed to the queue so far: those below the cursors of their lanes. */
  readonly fed: number;
  /** The counts when an operator last resumed it; from then on the breaker counts from zero and there is no ramp. */
  readonly resumedAt?: Counts;
  /** Of a batch that retires certificates. */
  readonly retirement?: Retirement;
  /** The counts when its deletions began, which are judged on their own. */
  readonly phaseAt?: Counts;
  /** How often an operator has resumed it. */
  readonly resumes: number;
  /** Of the version that wrote it; 1 where that wrote none. */
  readonly layout: number;
}

/** How a verification ended. */
export interface Verified {
  /** Unix milliseconds. */
  readonly at: number;
  /** Certificates that were looked for. */
  readonly checked: number;
  /** Those of them that were still registered. */
  readonly remaining: number;
  /** Items that had no outcome then, and were not looked for. */
  readonly pending: number;
  /** The order of a listing changed meanwhile: some may have been missed. */
  readonly isMoved: boolean;
}

/**
 * Reads the record's hash; undefined when there is none (never there, expired, or removed), and where it has an action that this version does not
 * know: whatever that is, it must not be taken for another.
 */
export function parseBatch(id: string, hash: Readonly<Record<string, string>>): Batch | undefined {
  const state = BATCH_STATES.find((known) => known === hash['state']);
  const action = actionNamed(hash['action'] ?? DEFAULT_ACTION);
  if (state === undefined || action === undefined) return undefined;
  const number = (field: string): number => Number(hash[field] ?? 0);
  const resumed = hash['resumedAt'];
  const verified = hash['verified'];
  const awaiting = parseAwaiting(hash['awaiting']);
  const phaseAt = hash['phaseAt'];
  return {
    id,
    action,
    state,
    counts: countsOf(action, number),
    confirmedByAbsence: number('confirmedByAbsence'),
    forgotten: number('forgotten'),
    priority: hash['priority'] === 'urgent' ? 'urgent' : 'bulk',
    submittedAt: number('submittedAt'),
    fed: number('fed'),
    resumes: number('resumes'),
    layout: Number(hash['layout'] ?? 1),
    ...(hash['pausedBy'] === 'window' && { isOutsideWindow: true }),
    ...(hash['completedAt'] !== undefined && { completedAt: number('completedAt') }),
    ...(hash['requestedBy'] !== undefined && { requestedBy: hash['requestedBy'] }),
    ...(hash['reason'] !== undefined && { reason: hash['reason'] }),
    ...(hash['manifestSha256'] !== undefined && { manifestSha256: hash['manifestSha256'] }),
    ...(hash['planId'] !== undefined && { planId: hash['planId'] }),
    ...(verified !== undefined && { verified: JSON.parse(verified) as Verified }),
    ...(hash['pausedBecause'] !== undefined &&
      hash['pausedBecause'] !== '' && { pausedBecause: hash['pausedBecause'] }),
    ...(awaiting !== undefined && { awaiting }),
    ...(resumed !== undefined && { resumedAt: resumedCounts(action, resumed) }),
    ...(action === 'retire' && { retirement: parseRetirement(hash) }),
    ...(phaseAt !== undefined && { phaseAt: resumedCounts(action, phaseAt) }),
  };
}

function resumedCounts(action: Action, text: string): Counts {
  const counts = JSON.parse(text) as Counts;
  return countsOf(action, (field) => counts[field] ?? 0);
}

/** What has happened since an operator resumed the batch, or since it, or its deletions, began. What was marked inactive went well so far. */
export function countsSinceResume({ action, counts, resumedAt, phaseAt, retirement }: Batch): Counts {
  const since = resumedAt ?? phaseAt;
  const passed = retirement?.passed ?? 0;
  if (since === undefined && passed === 0) return counts;
  return countsOf(action, (field) => {
    const now = (counts[field] ?? 0) + (field === 'inactivated' ? passed : 0);
    return now - (field === 'accepted' ? 0 : (since?.[field] ?? 0));
  });
}

export function outcomeNamed(name: string): Outcome | undefined {
  return OUTCOMES.find((known) => known === name);
}
