import type { Redis } from 'ioredis';
import { countsOf, type Action } from '../core/action.ts';
import { pendingOf, type BatchState, type Counts } from '../core/batch.ts';
import type { Phase, RetireDetails } from '../core/retirement.ts';
import { etaSeconds } from '../core/pace.ts';
import type { Awaiting } from '../ledger/awaiting.ts';
import type { Batch, Priority } from '../ledger/batch-record.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { allHalts, type AnyHalt } from '../limiter/halts/host-halts.ts';

/** A batch as `status --json` prints it; other programs depend on its names. */
export interface BatchStatus extends Counts {
  readonly batch: string;
  /** What it does with its certificates. */
  readonly action: Action;
  readonly state: BatchState;
  /** Of a batch that retires, while it is at work. */
  readonly phase?: Phase;
  /** When its soak ends, ISO 8601; while it soaks. */
  readonly soakUntil?: string;
  /** It runs only once somebody else has approved it. */
  readonly awaitsApproval?: AwaitedApproval;
  readonly pending: number;
  /** Settled items of a direct batch that were forgotten; they stay counted above. */
  readonly forgotten: number;
  /** Outcomes a second, over the last ten seconds. */
  readonly ratePerSecond: number;
  /** Null while nothing moves. */
  readonly etaSeconds: number | null;
}

export interface BatchDetail extends BatchStatus {
  /** Of `revoked`: confirmed by absence after a lost answer. */
  readonly confirmedByAbsence: number;
  readonly priority: Priority;
  /** Of a batch that retires. */
  readonly retire?: RetireDetails;
  readonly submittedAt: string;
  readonly completedAt?: string;
  readonly requestedBy?: string;
  readonly reason?: string;
  readonly pausedBecause?: string;
  readonly manifestSha256?: string;
}

/** What an approver approves. */
export interface AwaitedApproval {
  readonly certificates: number;
  /** SHA-256 of the manifest's bytes in hex; of one that has none, the digest of its certificates. */
  readonly manifest: string;
  /** The token that submitted it; null where none was used. */
  readonly submittedBy: string | null;
}

/** Everything there is to know at a glance. */
export interface Overview {
  readonly batches: readonly BatchDetail[];
  readonly halts: readonly AnyHalt[];
}

type BatchLedger = Pick<Ledger, 'batches'>;

/** Undefined when there is no such batch. */
export async function batchStatus(ledger: BatchLedger, id: string): Promise<BatchDetail | undefined> {
  const batch = await ledger.batches.find(id);
  return batch === undefined ? undefined : detailOf(ledger, batch);
}

export async function overview(redis: Redis, prefix: string, ledger: BatchLedger): Promise<Overview> {
  const batches = await ledger.batches.all();
  const [details, halts] = await Promise.all([
    Promise.all(batches.map((batch) => detailOf(ledger, batch))),
    allHalts(redis, prefix),
  ]);
  return { batches: details, halts };
}

/** The part that the JSON of a batch's status consists of, in its order. */
export function statusOf(detail: BatchDetail): BatchStatus {
  const { batch, action, state, phase, soakUntil, awaitsApproval, pending, forgotten, ratePerSecond } = detail;
  return {
    batch,
    state,
    ...(phase !== undefined && { phase }),
    ...(soakUntil !== undefined && { soakUntil }),
    ...(awaitsApproval !== undefined && { awaitsApproval }),
    ...countsOf(action, (field) => detail[field] ?? 0),
    pending,
    forgotten,
    ratePerSecond,
    etaSeconds: detail.etaSeconds,
    action,
  };
}

export async function detailOf(ledger: BatchLedger, batch: Batch): Promise<BatchDetail> {
  const pending = pendingOf(batch.counts);
  const rate = pending === 0 ? 0 : await ledger.batches.ratePerSecond(batch.id);
  const ratePerSecond = Math.round(rate * 10) / 10;
  return {
    batch: batch.id,
    action: batch.action,
    state: batch.state,
    ...phaseOf(batch),
    ...batch.counts,
    pending,
    forgotten: batch.forgotten,
    ratePerSecond,
    etaSeconds: etaSeconds(pending, ratePerSecond) ?? null,
    confirmedByAbsence: batch.confirmedByAbsence,
    priority: batch.priority,
    ...retireOf(batch),
    submittedAt: iso(batch.submittedAt),
    ...(batch.completedAt !== undefined && { completedAt: iso(batch.completedAt) }),
    ...(batch.requestedBy !== undefined && { requestedBy: batch.requestedBy }),
    ...(batch.reason !== undefined && { reason: batch.reason }),
    ...(batch.pausedBecause !== undefined && { pausedBecause: batch.pausedBecause }),
    ...(batch.manifestSha256 !== undefined && { manifestSha256: batch.manifestSha256 }),
    ...(batch.awaiting !== undefined && { awaitsApproval: awaitedOf(batch, batch.awaiting) }),
  };
}

/** Whether nothing of it runs before somebody else has approved it. */
export function isAwaiting({ state, awaitsApproval }: Pick<BatchDetail, 'state' | 'awaitsApproval'>): boolean {
  return state === 'planned' && awaitsApproval !== undefined;
}

function phaseOf({ state, retirement }: Batch): Pick<BatchStatus, 'phase' | 'soakUntil'> {
  if (retirement === undefined || (state !== 'running' && state !== 'paused')) return {};
  const { phase, soakUntil } = retirement;
  return { phase, ...(soakUntil !== undefined && { soakUntil: iso(soakUntil) }) };
}

function retireOf({ retirement }: Batch): Pick<BatchDetail, 'retire'> {
  if (retirement === undefined) return {};
  const { soakMs, deviceDestroyed } = retirement;
  return { retire: { soakMs, deviceDestroyed } };
}

export function awaitedOf(
  { manifestSha256 }: Pick<Batch, 'manifestSha256'>,
  { certificates, fingerprint, by }: Awaiting,
): AwaitedApproval {
  return { certificates, manifest: manifestSha256 ?? fingerprint, submittedBy: by?.name ?? null };
}

function iso(unixMs: number): string {
  return new Date(unixMs).toISOString();
}
