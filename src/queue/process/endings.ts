import type { Answer } from '../../core/answer.ts';
import { provesAccess, type Attempt, type Verdict } from '../../core/decide.ts';
import type { CallReport } from '../../limiter/contract.ts';
import type { Disposition } from './item.ts';

/** How long an item of a paused batch waits before it is looked at again. */
export const PAUSED_MS = 5_000;
export const DEFECT_MS = 2_000;
/** Before an item is tried again whose token was refused, though it works for others. */
export const TOKEN_MS = 2_000;
/** Before an item is tried again that could only end dead, while the endpoint judges nothing. */
export const UNJUDGED_MS = 2_000;
/** Before a certificate's CA is asked about again. */
export const UNREAD_MS = 2_000;
/** The least time before a throttled item is tried again. */
export const THROTTLED_MS = 500;

/** An item's end as a dead letter. */
export function dead(
  attempt: Attempt,
  { code, message }: { readonly code: string; readonly message: string },
  requestId: string,
  isUncalled: boolean,
): Disposition {
  return { kind: 'settled', outcome: 'dead', code, message, requestId, attempt, isUncalled, byAbsence: false };
}

/** What the limiter is to know of an answer. @param isOurs - the refusal stops this host alone */
export function reportOf(answer: Answer, verdict: Verdict, isOurs: boolean): CallReport {
  if (provesAccess(answer)) return { kind: 'proved' };
  switch (verdict.kind) {
    case 'throttled':
      return { kind: 'throttled', retryAfterMs: verdict.retryAfterMs };
    case 'halt':
      return isOurs ? { kind: 'void' } : verdict;
    case 'retry':
      // It has told nothing yet.
      return { kind: verdict.again === 'backoff' || verdict.again === 'later' ? 'nothing' : 'void' };
    case 'done':
    case 'dead':
    case 'unclear':
    case 'inactive':
      return { kind: 'nothing' };
  }
}
