import { ALREADY, DONE } from '../../ledger/model.ts';
import type { Outcome } from '../../../src/core/batch.ts';
import { ATTEMPTS, type AnswerKind } from '../hand.ts';
import type { CallEffect } from '../world.ts';
import type { Item } from '../../../src/queue/process/item.ts';
import type { ModelRecord } from './model.ts';

/** What a run is to do with its item. */
export type Step = Pick<Item, 'action' | 'isRetiring'>;

export type Known = Pick<ModelRecord, 'failures' | 'calls' | 'unknown'>;
/** What must come next of an item in hand. */
export type Next =
  | { readonly kind: 'ask' | 'call' | 'wait' | 'release' | 'abandon' | 'ask-or-wait' | 'nothing' }
  | { readonly kind: 'settled'; readonly outcome: Outcome; readonly byAbsence: boolean };
/** A call whose code told nothing; `mayBeOurs`: one before it may have worked. */
export interface Puzzle {
  readonly mayBeOurs: boolean;
}
interface After {
  readonly known: Known;
  readonly next: Next;
  readonly puzzle?: Puzzle;
}

const STATUS = { delete: 'absent', inactivate: 'inactive', activate: 'active' } as const;

/** After these nobody can say whether the call has worked. */
const UNCERTAIN = new Set<AnswerKind>(['busy', 'lost-before', 'lost-after', 'garbled-after', 'nonce']);
/** These count as tries. */
const FAILURES = new Set<AnswerKind>([...UNCERTAIN, 'unreachable']);

const GONE = { kind: 'settled', outcome: 'already-gone', byAbsence: false } as const;
const DEAD = { kind: 'settled', outcome: 'dead', byAbsence: false } as const;

/** What a run knows of its item after the call that its batch is for, and what must come of it. */
export function afterCall(
  kind: AnswerKind,
  { found, isDone }: CallEffect,
  { action, isRetiring }: Step,
  before: Known,
): After {
  const known = knownAfter(before, kind);
  if (kind !== 'honest') return { known, next: afterTrouble(kind, known) };
  if (isDone) return { known, next: { kind: 'settled', outcome: DONE[action], byAbsence: false } };
  if (found !== 'absent') {
    // It was refused with a code that says nothing.
    return {
      known: { ...known, unknown: true },
      next: { kind: 'ask' },
      puzzle: { mayBeOurs: before.unknown },
    };
  }
  // What retires is as good as deleted.
  if (action !== 'delete') return { known, next: isRetiring === true ? GONE : DEAD };
  // It was there when it was submitted; if one of our calls may have taken it away, it did.
  const outcome = before.unknown ? DONE.delete : ALREADY.delete;
  return { known, next: { kind: 'settled', outcome, byAbsence: before.unknown } };
}

/** The same after a read of the certificate. */
export function afterRead(
  kind: AnswerKind,
  { found }: CallEffect,
  { action, isRetiring }: Step,
  { mayBeOurs }: Puzzle,
  before: Known,
): After {
  const known = knownAfter(before, kind);
  if (kind === 'honest' && found === 'absent') return { known, next: isRetiring === true ? GONE : DEAD };
  if (kind === 'honest' && found === STATUS[action]) {
    const outcome = mayBeOurs ? DONE[action] : ALREADY[action];
    return { known, next: { kind: 'settled', outcome, byAbsence: false } };
  }
  // It has not worked, or nobody may know whether it has: the call is made again, a few times.
  if (kind === 'honest' || kind === 'forbidden') {
    const failed = { ...known, failures: known.failures + 1 };
    return { known: failed, next: failed.failures >= ATTEMPTS ? DEAD : { kind: 'wait' } };
  }
  return { known, next: afterTrouble(kind, known) };
}

/** The same after a look at a certificate that was inactive for a while, and must be deleted unless its CA is active. */
export function afterLook(kind: AnswerKind, { found }: CallEffect, isCaActive: boolean, before: Known): After {
  // A look deletes nothing.
  const known = { ...knownAfter(before, kind), unknown: before.unknown };
  if (kind === 'forbidden') {
    const failed = { ...known, failures: known.failures + 1 };
    return { known: failed, next: failed.failures >= ATTEMPTS ? DEAD : { kind: 'wait' } };
  }
  if (kind !== 'honest') return { known, next: afterTrouble(kind, known) };
  if (found === 'active') return { known, next: { kind: 'settled', outcome: 'kept-active', byAbsence: false } };
  if (found === 'inactive')
    return {
      known,
      next: isCaActive ? { kind: 'settled', outcome: 'inactivated', byAbsence: false } : { kind: 'ask' },
    };
  const outcome = before.unknown ? DONE.delete : ALREADY.delete;
  return { known, next: { kind: 'settled', outcome, byAbsence: before.unknown } };
}

function afterTrouble(kind: Exclude<AnswerKind, 'honest'>, after: Known): Next {
  switch (kind) {
    case 'refused':
      return DEAD;
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
      if (after.failures >= ATTEMPTS) return DEAD;
      return { kind: kind === 'nonce' ? 'ask' : 'wait' };
  }
}

function knownAfter({ failures, calls, unknown }: Known, kind: AnswerKind): Known {
  return {
    failures: failures + (FAILURES.has(kind) ? 1 : 0),
    calls: calls + (kind === 'void' ? 0 : 1),
    unknown: unknown || UNCERTAIN.has(kind),
  };
}
