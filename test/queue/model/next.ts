import type { Outcome } from '../../../src/core/batch.ts';
import { ATTEMPTS, type AnswerKind } from '../hand.ts';
import type { ModelRecord } from './model.ts';

export type Known = Pick<ModelRecord, 'failures' | 'calls' | 'unknown'>;
/** What must come next of an item in hand. */
export type Next =
  | { readonly kind: 'ask' | 'call' | 'wait' | 'release' | 'abandon' | 'ask-or-wait' | 'nothing' }
  | { readonly kind: 'settled'; readonly outcome: Outcome; readonly byAbsence: boolean };

/** After these nobody can say whether the call has worked. */
const UNCERTAIN = new Set<AnswerKind>(['busy', 'lost-before', 'lost-after', 'garbled-after', 'nonce']);
/** These count as tries. */
const FAILURES = new Set<AnswerKind>([...UNCERTAIN, 'unreachable']);

/** What must come of an item by an answer. */
export function nextOf(kind: AnswerKind, isDeleted: boolean, before: Known, after: Known): Next {
  switch (kind) {
    case 'honest':
      if (isDeleted) return { kind: 'settled', outcome: 'revoked', byAbsence: false };
      // It was there when it was submitted; if one of our calls may have taken it away, it did.
      return before.unknown
        ? { kind: 'settled', outcome: 'revoked', byAbsence: true }
        : { kind: 'settled', outcome: 'already-gone', byAbsence: false };
    case 'refused':
      return { kind: 'settled', outcome: 'dead', byAbsence: false };
    case 'throttled':
      return { kind: 'wait' };
    case 'void':
    case 'forbidden':
      return { kind: 'ask' };
    case 'old-token':
      return { kind: 'ask-or-wait' };
    case 'lost-before':
    case 'lost-after':
    case 'garbled-after':
    case 'nonce':
    case 'busy':
    case 'unreachable':
      if (after.failures >= ATTEMPTS) return { kind: 'settled', outcome: 'dead', byAbsence: false };
      return { kind: kind === 'nonce' ? 'ask' : 'wait' };
  }
}

/** What a run knows of its item after an answer. */
export function knownAfter({ failures, calls, unknown }: Known, kind: AnswerKind): Known {
  return {
    failures: failures + (FAILURES.has(kind) ? 1 : 0),
    calls: calls + (kind === 'void' ? 0 : 1),
    unknown: unknown || UNCERTAIN.has(kind),
  };
}
