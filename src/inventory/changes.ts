import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, effectUnknown, type Answer } from '../core/answer.ts';
import { backoffMs } from '../core/backoff.ts';
import { blameOf } from '../core/code-table.ts';
import { decide, FIRST_ATTEMPT, recordAttempt, type KeyTrust } from '../core/decide.ts';
import { takeSlot, type ReadDeskParts, type ReadEnd } from './reads.ts';

/** How a call that changes something ended. */
export type ChangeEnd =
  | { readonly kind: 'done'; readonly requestId: string }
  /** The call left, and nobody says what became of it. */
  | { readonly kind: 'unknown'; readonly code: string; readonly message: string }
  | Exclude<ReadEnd<never>, { kind: 'read' }>;

/**
 * Makes a call that changes something, in a slot as every call has, and ahead of all others. It is made again only where the one before has certainly
 * changed nothing. As with reads, what it hears halts nobody and lifts no halt.
 * @param call - makes the call before `notAfterMs` or not at all
 */
export async function makeChange(
  { slots, policy, refreshCredentials }: Pick<ReadDeskParts, 'slots' | 'policy' | 'refreshCredentials'>,
  call: (notAfterMs: number) => Promise<Answer>,
): Promise<ChangeEnd> {
  let attempt = FIRST_ATTEMPT;
  let trust: KeyTrust = 'untried';
  for (;;) {
    const slot = await takeSlot(slots, true);
    if (slot.kind !== 'slot') return slot;
    const answer = await call(slot.notAfterMs);
    const isThrottled = answer.kind === 'refused' && blameOf(answer.code) === 'rate';
    await slot.report(isThrottled ? { kind: 'throttled', retryAfterMs: answer.retryAfterMs ?? 0 } : { kind: 'void' });
    if (answer.kind === 'accepted') return { kind: 'done', requestId: answer.requestId };
    const { message } = answer;
    const code = codeOf(answer);
    if (effectUnknown(answer)) return { kind: 'unknown', code, message };
    const verdict = decide(answer, attempt, { ...policy, notFound: 'dead' }, trust);
    attempt = recordAttempt(attempt, answer, verdict);
    switch (verdict.kind) {
      case 'done':
      case 'dead':
      case 'halt':
        return { kind: 'refused', code, message };
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
