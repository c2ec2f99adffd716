import { breakerVerdict, type BreakerPolicy, type BreakerVerdict } from '../../core/batch.ts';
import { countsSinceResume, type Batch } from '../../ledger/batch-record.ts';
import { isDirectBatch } from '../../ledger/direct-items.ts';

/** How far a batch may be fed, or that it must pause. */
export function judgeBatch(batch: Batch, policy: BreakerPolicy): BreakerVerdict {
  // Its jobs come by themselves. DirectBreaker judges it, also while nothing of it pends.
  if (isDirectBatch(batch.id)) return { kind: 'feed', upTo: Number.POSITIVE_INFINITY };
  return breakerVerdict(countsSinceResume(batch), batch.fed, batch.resumedAt !== undefined, policy);
}

/** Whether what was fed so far must settle well before more is. */
export function isInRamp(batch: Batch, policy: BreakerPolicy): boolean {
  const verdict = judgeBatch(batch, policy);
  return verdict.kind === 'feed' && Number.isFinite(verdict.upTo);
}

/** Why a batch pauses itself, and the operator's next step. */
export function pauseReason(batch: string, { settled, dead }: Extract<BreakerVerdict, { kind: 'pause' }>): string {
  const share = Math.round((dead / settled) * 1_000) / 10;
  return `${dead} of ${settled} settled items are dead (${share}%): see certsweep dead list --batch ${batch}, then certsweep resume ${batch}`;
}
