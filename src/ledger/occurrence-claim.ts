import type { LedgerKeys } from './keys.ts';

/** An occurrence of a schedule that ends in the step that makes its batch run. */
export interface OccurrenceClaim {
  readonly schedule: string;
  readonly id: string;
  /** Names the process that has claimed it. */
  readonly holder: string;
  /** It stands in the timetable; false for one that an operator asked for. */
  readonly isDue: boolean;
  /** Unix milliseconds by the schedule's clock. */
  readonly nowMs: number;
  /** Outside the schedule's window: the batch begins paused, and this says why. */
  readonly waitsBecause?: string;
}

/** The keys that a script with `OCCURRENCE_END` needs, in the order state claim ends order. */
export function occurrenceKeys(keys: LedgerKeys, schedule: string): string[] {
  const { state, claim, ends, order } = keys.schedule(schedule);
  return [state, claim, ends, order];
}

/** Why a batch that is larger than approvals.above waits. */
export const AWAITS_APPROVAL = 'somebody has to approve it';

/** What the history says of a batch that was activated. */
export function activatedReason(certificates: number, waitsBecause?: string): string {
  const things = certificates === 1 ? '1 certificate' : `${certificates} certificates`;
  return waitsBecause === undefined ? things : `${things}; the batch waits: ${waitsBecause}`;
}

/** The arguments of the script. */
export function occurrenceArgument(
  { id, holder, isDue, nowMs, waitsBecause }: OccurrenceClaim,
  { batch, accepted, isAwaiting }: { readonly batch: string; readonly accepted: number; readonly isAwaiting: boolean },
): string {
  const why = isAwaiting ? AWAITS_APPROVAL : waitsBecause;
  const entry = { state: 'activated', batch, reason: activatedReason(accepted, why), at: nowMs };
  return JSON.stringify({ id, holder, isDue, endedAt: nowMs, entry, waitsBecause });
}
