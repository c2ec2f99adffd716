import type { Answer } from './answer.ts';
import { blameOf } from './code-table.ts';
import { isOfRead } from './decide-by-read.ts';
import { decide, retryUnknown, type Attempt, type DecidePolicy, type KeyTrust, type Verdict } from './decide.ts';
import type { ReadAnswer, RegisteredDevice } from './registered.ts';

/** Where a batch that retires certificates stands: it marks them inactive, waits, and then deletes what may be deleted. */
export const PHASES = ['inactivating', 'soaking', 'deleting'] as const;
export type Phase = (typeof PHASES)[number];

/** How a batch is to retire its certificates. */
export interface RetireDetails {
  /** How long they stay inactive before they may be deleted, milliseconds. */
  readonly soakMs: number;
  /** The operator answers for it that no device can come back: nothing else has to hold before a deletion. */
  readonly deviceDestroyed: boolean;
}

/** How long certificates stay inactive before they may be deleted, where nobody says. */
export const DEFAULT_SOAK_MS = 24 * 3_600_000;
/** How wrong a clock of this host may be before the API refuses its calls. */
const CLOCK_DOUBT_MS = 15 * 60_000;

/** Why a certificate was left inactive: in its report, in place of the API's code. */
export const CA_ACTIVE = 'ca-active';

/**
 * What the first call for a certificate that retires means. What is not registered has nothing to be inactivated, and is as good as deleted.
 * @param verdict - what it means where the certificate stays inactive
 */
export function decideFirst(answer: Answer, verdict: Verdict, policy: DecidePolicy): Verdict {
  if (verdict.kind !== 'dead' || answer.kind !== 'refused' || blameOf(answer.code) !== 'not-found') return verdict;
  // An earlier call of ours can only have inactivated it.
  return policy.notFound === 'dead' ? verdict : { kind: 'done', outcome: 'already-gone', confirmedBy: 'answer' };
}

/** What reading a certificate right before its deletion means. What somebody has activated since is left alone. Pure. */
export function decideBeforeDeletion(
  read: ReadAnswer<Pick<RegisteredDevice, 'status' | 'validEndMs'>>,
  attempt: Attempt,
  policy: DecidePolicy,
  trust: KeyTrust = 'untried',
): Verdict {
  if (read.kind === 'accepted') {
    const { status, validEndMs } = read.data;
    return status === 'active'
      ? { kind: 'done', outcome: 'kept-active', confirmedBy: 'read' }
      : { kind: 'inactive', validEndMs };
  }
  if (read.kind === 'refused' && isOfRead(read)) return retryUnknown(unread(read, 'certificate'), attempt, policy);
  return decide(read, attempt, policy, trust);
}

/** What it means for a certificate that its CA could not be read; `again`, that it has no part in that. */
export function decideUnreadCa(
  answer: Exclude<Answer, { kind: 'accepted' }>,
  attempt: Attempt,
  policy: DecidePolicy,
): Extract<Verdict, { kind: 'retry' | 'dead' }> | { readonly kind: 'again' } {
  const verdict =
    answer.kind === 'refused' && (isOfRead(answer) || blameOf(answer.code) === 'item')
      ? retryUnknown(unread(answer, 'CA'), attempt, policy)
      : decide(answer, attempt, policy);
  if (verdict.kind === 'dead') return verdict;
  return verdict.kind === 'retry' && verdict.again === 'backoff' ? verdict : { kind: 'again' };
}

/** Whether a certificate cannot come back because it is no longer valid. */
export function hasExpired(validEndMs: number | undefined, nowMs: number): boolean {
  return validEndMs !== undefined && validEndMs + CLOCK_DOUBT_MS < nowMs;
}

function unread<T extends { readonly code: string; readonly message: string }>(answer: T, what: string): T {
  const message = `${answer.message} (Before a deletion the ${what} is read, and that failed.)`;
  return { ...answer, message };
}
