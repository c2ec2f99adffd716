import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer } from '../core/answer.ts';
import { backoffMs, type BackoffPolicy } from '../core/backoff.ts';
import { blameOf } from '../core/code-table.ts';
import { decide, FIRST_ATTEMPT, recordAttempt, type KeyTrust, type Verdict } from '../core/decide.ts';
import type { ReadAnswer } from '../core/registered.ts';
import type { Limiter } from '../limiter/contract.ts';

type Taken = Awaited<ReturnType<Limiter['take']>>;

/** Such calls concern the account: an instance that is halted for deletions may well be read. */
export const NO_INSTANCE = '';

/** Why there is no slot. */
export type NoSlot =
  /** The account is stopped in all processes. */
  { readonly kind: 'halted'; readonly code: string; readonly message: string } | { readonly kind: 'closed' };
export type SlotEnd = Extract<Taken, { kind: 'slot' }> | NoSlot;

export interface SlottedCall<Heard extends Answer | ReadAnswer<unknown>> {
  readonly slot: () => Promise<SlotEnd>;
  /** Makes the call before `notAfterMs` or not at all. */
  readonly call: (notAfterMs: number) => Promise<Heard>;
  readonly policy: BackoffPolicy & { readonly attempts: number };
  readonly refreshCredentials: () => void;
  /** An answer after which nothing may be sent again. */
  readonly isLast: (answer: Heard) => boolean;
}

/** The last answer, with what it leads to where it was no success. */
export type CallEnd<Heard> = { readonly kind: 'heard'; readonly answer: Heard; readonly verdict?: Verdict } | NoSlot;

/**
 * Calls in a slot as every call has, and again where that helps: the codes decide, as for deletions. What is heard halts nobody and lifts no halt,
 * since such calls need other permissions than a deletion does.
 */
export async function callInSlots<Heard extends Answer | ReadAnswer<unknown>>({
  slot: next,
  call,
  policy,
  refreshCredentials,
  isLast,
}: SlottedCall<Heard>): Promise<CallEnd<Heard>> {
  let attempt = FIRST_ATTEMPT;
  let trust: KeyTrust = 'untried';
  for (;;) {
    const slot = await next();
    if (slot.kind !== 'slot') return slot;
    const heard = await call(slot.notAfterMs);
    const answer: Answer | ReadAnswer<unknown> = heard;
    const isThrottled = answer.kind === 'refused' && blameOf(answer.code) === 'rate';
    await slot.report(isThrottled ? { kind: 'throttled', retryAfterMs: answer.retryAfterMs ?? 0 } : { kind: 'void' });
    if (answer.kind === 'accepted' || isLast(heard)) return { kind: 'heard', answer: heard };
    const verdict = decide(answer, attempt, { ...policy, notFound: 'dead' }, trust);
    attempt = recordAttempt(attempt, answer, verdict);
    switch (verdict.kind) {
      case 'done':
      case 'unclear':
      case 'inactive':
      case 'dead':
      case 'halt':
        return { kind: 'heard', answer: heard, verdict };
      case 'throttled':
        break;
      case 'retry':
        if (verdict.again === 'fresh-credentials') {
          refreshCredentials();
          trust = 'failed';
        } else if (verdict.again === 'backoff') await sleep(backoffMs(attempt.failures, policy, Math.random()));
        break;
    }
  }
}

/** A slot that concerns the account and no instance. */
export async function takeSlot(slots: Limiter, isUrgent: boolean): Promise<SlotEnd> {
  const grant = await slots.take({ instanceId: NO_INSTANCE, isUrgent });
  switch (grant.kind) {
    case 'slot':
      if (!grant.isProbe) return grant;
      await grant.report({ kind: 'void' });
      return { kind: 'halted', code: 'halted', message: 'a worker has to prove first that its calls work again' };
    case 'halted':
      return { kind: 'halted', code: grant.code, message: grant.message };
    case 'refused':
    case 'closed':
      return { kind: 'closed' };
  }
}
