import { DEFAULT_ACTION, ENDS, type CallAction, type GoodEnd } from './action.ts';
import { codeOf, effectUnknown, type Answer, type Refused } from './answer.ts';
import { blameOf } from './code-table.ts';

/** What an item has been through before the present answer. The ledger keeps it, so that it survives the process. */
export interface Attempt {
  /** Tries that ended in a `retry` verdict. */
  readonly failures: number;
  /** Calls sent, of whatever verdict; bounds a job that is throttled for ever. */
  readonly calls: number;
  /** An earlier call's end is not known: a crash, a timeout, a lost answer. */
  readonly effectUnknown: boolean;
}

export interface DecidePolicy {
  /** Tries before an item is dead, the first included. */
  readonly attempts: number;
  /** What a certificate that was never registered counts as where it was to be deleted. */
  readonly notFound: 'already-gone' | 'dead';
}

/**
 * What is known of the credentials of a call whose token was refused: `untried`, another call with what is fetched now may work; `failed`, they
 * were fetched again already, and none of several calls has worked; `proven`, fetched again a moment ago, and they work for other calls.
 */
export type KeyTrust = 'untried' | 'failed' | 'proven';

export type HaltScope = 'account' | 'instance';

/** Neither uses a try: an item has no part in its account's token. `later`: another fetch would not help yet. */
type TokenRetry = 'fresh-credentials' | 'later';

export type Verdict =
  | { readonly kind: 'done'; readonly outcome: GoodEnd; readonly confirmedBy: 'answer' | 'absence' | 'read' }
  /** The code does not say what became of the certificate: reading it does. */
  | { readonly kind: 'unclear'; readonly code: string; readonly message: string }
  /** To be deleted, and as it should be before that; `validEndMs` is Unix milliseconds. */
  | { readonly kind: 'inactive'; readonly validEndMs: number | undefined }
  | { readonly kind: 'retry'; readonly again: 'backoff' | 'at-once' | TokenRetry; readonly code: string }
  | { readonly kind: 'throttled'; readonly retryAfterMs: number; readonly code: string }
  | { readonly kind: 'dead'; readonly code: string; readonly message: string }
  | { readonly kind: 'halt'; readonly scope: HaltScope; readonly code: string; readonly message: string };

/** Tries for a code that no row of the table knows. */
export const UNKNOWN_CODE_TRIES = 3;
/** The most calls an item may have, the first included; the last one's verdict is no retry: no item may circle for ever. */
export const MAX_CALLS = 200;

/**
 * What an answer means for its item. Pure: the same arguments give the same verdict.
 * @param trust - in the credentials that the call was signed with
 * @param action - what the call was to do
 */
export function decide(
  answer: Answer,
  attempt: Attempt,
  policy: DecidePolicy,
  trust: KeyTrust = 'untried',
  action: CallAction = DEFAULT_ACTION,
): Verdict {
  switch (answer.kind) {
    case 'accepted':
      return { kind: 'done', outcome: ENDS[action].done, confirmedBy: 'answer' };
    case 'refused':
      return decideRefused(answer, attempt, policy, trust, action);
    case 'garbled':
    case 'network':
      return retryOrDead(answer, attempt, policy.attempts);
    case 'not-sent':
      // A void slot costs nothing; without credentials no call of the account can be made.
      return answer.reason === 'slot-void'
        ? { kind: 'retry', again: 'at-once', code: answer.reason }
        : { kind: 'halt', scope: 'account', code: answer.reason, message: answer.message };
  }
}

/** An answer that only a working credential, with permission, on an instance that is there, can get. */
export function provesAccess(answer: Answer): boolean {
  if (answer.kind === 'accepted') return true;
  if (answer.kind !== 'refused') return false;
  const blame = blameOf(answer.code);
  return blame === 'item' || blame === 'not-found';
}

function decideRefused(
  answer: Refused,
  attempt: Attempt,
  policy: DecidePolicy,
  trust: KeyTrust,
  action: CallAction,
): Verdict {
  const { code, message } = answer;
  const blame = blameOf(code);
  switch (blame) {
    case 'not-found':
      // What is not there is neither inactive nor active, whatever was called before.
      if (action !== 'delete') return { kind: 'dead', code, message };
      if (attempt.effectUnknown) return { kind: 'done', outcome: 'revoked', confirmedBy: 'absence' };
      if (policy.notFound === 'already-gone') return { kind: 'done', outcome: 'already-gone', confirmedBy: 'answer' };
      return { kind: 'dead', code, message };
    case 'item':
      return { kind: 'dead', code, message };
    case 'instance':
      return { kind: 'halt', scope: 'instance', code, message };
    case 'token':
      if (trust === 'failed') return { kind: 'halt', scope: 'account', code, message };
      return isLastCall(attempt)
        ? { kind: 'dead', code, message }
        : { kind: 'retry', again: trust === 'proven' ? 'later' : 'fresh-credentials', code };
    case 'credential':
    case 'risk-control':
    case 'clock':
    case 'our-request':
      return { kind: 'halt', scope: 'account', code, message };
    case 'rate':
      return isLastCall(attempt)
        ? { kind: 'dead', code, message }
        : { kind: 'throttled', retryAfterMs: answer.retryAfterMs ?? 0, code };
    case 'nonce':
      return retryOrDead(answer, attempt, policy.attempts, 'at-once');
    case 'service':
      return retryOrDead(answer, attempt, policy.attempts);
    case 'unknown':
      // It may say that the certificate was so before: that is not documented, and a deletion has a code for it.
      if (action !== 'delete') return { kind: 'unclear', code, message };
      return retryUnknown(answer, attempt, policy);
  }
}

/** Where nobody knows what a code means: a few tries. */
export function retryUnknown(answer: Refused, attempt: Attempt, { attempts }: DecidePolicy): Verdict {
  return retryOrDead(answer, attempt, Math.min(UNKNOWN_CODE_TRIES, attempts));
}

/** The record does not count the call whose answer is being judged. */
function isLastCall(attempt: Attempt): boolean {
  return attempt.calls + 1 >= MAX_CALLS;
}

function retryOrDead(
  answer: Exclude<Answer, { kind: 'accepted' }>,
  attempt: Attempt,
  tries: number,
  again: 'backoff' | 'at-once' = 'backoff',
): Verdict {
  const code = codeOf(answer);
  return attempt.failures + 1 >= tries || isLastCall(attempt)
    ? { kind: 'dead', code, message: answer.message }
    : { kind: 'retry', again, code };
}

/**
 * The attempt record after an answer, for the next try of the same item.
 * @param verdict - what `decide` made of the answer
 */
export function recordAttempt(attempt: Attempt, answer: Answer, verdict: Verdict): Attempt {
  const sent = answer.kind !== 'not-sent';
  const isFailure = verdict.kind === 'retry' && (verdict.again === 'backoff' || verdict.again === 'at-once');
  return {
    failures: attempt.failures + (isFailure && sent ? 1 : 0),
    calls: attempt.calls + (sent ? 1 : 0),
    effectUnknown: attempt.effectUnknown || effectUnknown(answer),
  };
}

export const FIRST_ATTEMPT: Attempt = { failures: 0, calls: 0, effectUnknown: false };
