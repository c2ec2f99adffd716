import { ENDS, statusAfter, type CallAction } from './action.ts';
import type { Refused } from './answer.ts';
import { blameOf } from './code-table.ts';
import { decide, retryUnknown, type Attempt, type DecidePolicy, type KeyTrust, type Verdict } from './decide.ts';
import type { ReadAnswer, RegisteredDevice } from './registered.ts';

/** A call whose code is unclear: a read of its certificate decides. */
export interface Puzzle {
  /** Its answer. */
  readonly answer: Refused;
  /** An earlier call of the item may have worked. */
  readonly mayBeOurs: boolean;
}

/**
 * What a read of an item's certificate means for it, after a call with an unclear code. Pure.
 * @param attempt - with the unclear call, without the read
 */
export function decideByRead(
  read: ReadAnswer<Pick<RegisteredDevice, 'status'>>,
  { answer, mayBeOurs }: Puzzle,
  attempt: Attempt,
  policy: DecidePolicy,
  action: CallAction,
  trust: KeyTrust = 'untried',
): Verdict {
  if (read.kind === 'accepted') {
    const { done, already } = ENDS[action];
    return read.data.status === statusAfter(action)
      ? { kind: 'done', outcome: mayBeOurs ? done : already, confirmedBy: 'read' }
      : retryUnknown(answer, attempt, policy);
  }
  if (read.kind === 'refused' && isOfRead(read)) {
    const message = `${answer.message} (Reading the certificate then failed: ${read.code}: ${read.message})`;
    return retryUnknown({ ...answer, message }, attempt, policy);
  }
  const verdict = decide(read, attempt, policy, trust, action);
  return verdict.kind === 'unclear' && read.kind === 'refused' ? retryUnknown(read, attempt, policy) : verdict;
}

/** A read needs its own permission, so its refusal says nothing about other calls: the next one will show what is wrong with those. */
export function isOfRead({ code }: Refused): boolean {
  const blame = blameOf(code);
  return blame === 'credential' || blame === 'instance' || blame === 'our-request';
}
