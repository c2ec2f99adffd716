import type { Action } from '../core/action.ts';
import { pendingOf, type BatchState, type Counts, type Outcome } from '../core/batch.ts';
import type { Verified } from '../ledger/batch-record.ts';
import { settledItems } from '../ledger/report.ts';
import type { Store } from './store.ts';

/** What an auditor gets of a batch, as `report --summary --format json` prints it; other programs depend on its names. Times are ISO 8601, UTC. */
export interface BatchSummary extends Counts {
  readonly batch: string;
  readonly state: BatchState;
  readonly action: Action;
  /** Null where nobody said; of a direct batch each item has its own. */
  readonly requestedBy: string | null;
  readonly reason: string | null;
  readonly submittedAt: string;
  readonly completedAt: string | null;
  /** When the summary was made. */
  readonly summarizedAt: string;
  /** Null where the library was given objects. */
  readonly manifestSha256: string | null;
  /** Null where it was submitted without a plan. */
  readonly planId: string | null;
  readonly pending: number;
  /** Settled items of a direct batch that were taken out of Redis: they are counted, and their codes and calls are not. */
  readonly forgotten: number;
  /** Of `revoked`: confirmed by absence after a lost answer. */
  readonly confirmedByAbsence: number;
  /** Over all items that are settled, the most frequent first. */
  readonly codes: readonly CodeCount[];
  /** HTTP calls for items that are settled. */
  readonly calls: number;
  /** From the submission to the last outcome, pauses included; null while nothing is settled. */
  readonly durationSeconds: number | null;
  /** Outcomes a second over that time. */
  readonly itemsPerSecond: number | null;
  /** The last one; null where there was none. */
  readonly verification: SummaryVerification | null;
}

export interface CodeCount {
  readonly outcome: Outcome;
  /** Empty where no call was made. */
  readonly code: string;
  readonly items: number;
}

export interface SummaryVerification {
  readonly verifiedAt: string;
  readonly checked: number;
  readonly remaining: number;
  readonly pending: number;
  /** False where the order of a listing changed meanwhile, so that some may have been missed. */
  readonly isWhole: boolean;
}

/** Reads the batch's ledger once; memory does not grow with the batch. Undefined when there is no such batch. */
export async function summaryOf({ ledger }: Store, id: string): Promise<BatchSummary | undefined> {
  const batch = await ledger.batches.find(id);
  if (batch === undefined) return undefined;
  const { settled, calls, codes, lastEntry } = await countSettled(ledger, id);
  const { submittedAt, completedAt, verified } = batch;
  const lastAt = lastEntry === undefined ? undefined : Number.parseInt(lastEntry, 10);
  const tookMs = lastAt === undefined ? undefined : Math.max(1, lastAt - submittedAt);
  return {
    batch: id,
    state: batch.state,
    action: batch.action,
    requestedBy: batch.requestedBy ?? null,
    reason: batch.reason ?? null,
    submittedAt: iso(submittedAt),
    completedAt: completedAt === undefined ? null : iso(completedAt),
    summarizedAt: iso(Date.now()),
    manifestSha256: batch.manifestSha256 ?? null,
    planId: batch.planId ?? null,
    ...batch.counts,
    pending: pendingOf(batch.counts),
    forgotten: batch.forgotten,
    confirmedByAbsence: batch.confirmedByAbsence,
    codes,
    calls,
    durationSeconds: tookMs === undefined ? null : tookMs / 1_000,
    itemsPerSecond: tookMs === undefined ? null : Math.round((settled * 10_000) / tookMs) / 10,
    verification: verified === undefined ? null : verificationOf(verified),
  };
}

async function countSettled(
  ledger: Store['ledger'],
  batch: string,
): Promise<{ settled: number; calls: number; codes: CodeCount[]; lastEntry: string | undefined }> {
  const counts = new Map<string, { outcome: Outcome; code: string; items: number }>();
  let [settled, calls] = [0, 0];
  let lastEntry: string | undefined;
  for await (const [id, { outcome, code, calls: made }] of settledItems(ledger, batch)) {
    const key = `${outcome} ${code}`;
    const count = counts.get(key) ?? { outcome, code, items: 0 };
    count.items += 1;
    counts.set(key, count);
    settled += 1;
    calls += made;
    lastEntry = id;
  }
  return { settled, calls, codes: [...counts.values()].toSorted((a, b) => b.items - a.items), lastEntry };
}

function verificationOf({ at, isMoved, ...found }: Verified): SummaryVerification {
  return { verifiedAt: iso(at), ...found, isWhole: !isMoved };
}

function iso(unixMs: number): string {
  return new Date(unixMs).toISOString();
}
