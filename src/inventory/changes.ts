import { codeOf, effectUnknown, type Answer } from '../core/answer.ts';
import type { ReadDeskParts, ReadEnd } from './reads.ts';
import { callInSlots, takeSlot } from './slotted-call.ts';

/** How a call that changes something ended. */
export type ChangeEnd =
  | { readonly kind: 'done'; readonly requestId: string }
  /** The call left, and its outcome is not known. */
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
  const end = await callInSlots({
    slot: () => takeSlot(slots, true),
    call,
    policy,
    refreshCredentials,
    isLast: effectUnknown,
  });
  if (end.kind !== 'heard') return end;
  const { answer } = end;
  if (answer.kind === 'accepted') return { kind: 'done', requestId: answer.requestId };
  const { message } = answer;
  const code = codeOf(answer);
  return { kind: effectUnknown(answer) ? 'unknown' : 'refused', code, message };
}
