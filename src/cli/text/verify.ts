import { count, groupDigits } from '../../core/counting.ts';
import type { Action } from '../../core/action.ts';
import type { Verification, VerifyOutcome } from '../../app/verify.ts';
import { printable } from '../../core/printable.ts';

type Found = Extract<VerifyOutcome, { kind: 'verified' }>['found'];

export function describeRemaining({ instanceId, caSn, deviceSn, status }: Verification['remaining'][number]): string {
  return printable(`${instanceId} ${caSn} ${deviceSn}  ${status}`);
}

/** What status is looked for, what it should be, and what those have that are named. */
export const EXPECTED_STATUS: Readonly<
  Record<Action, { readonly none: string; readonly should: string; readonly found: string }>
> = {
  delete: { none: 'registered', should: 'gone', found: 'registered' },
  inactivate: { none: 'active', should: 'inactive', found: 'active' },
  retire: { none: 'active', should: 'inactive or gone', found: 'active' },
  activate: { none: 'inactive', should: 'active', found: 'inactive' },
};

export function describeVerification(
  action: Action,
  { batch, checked, remaining }: Verification,
  { isMoved, unreadable, calls }: Found,
  pending: number,
  out: string | undefined,
): string {
  const { none, should, found } = EXPECTED_STATUS[action];
  const written = out === undefined ? '' : `, written to ${out}`;
  const lines = [
    remaining.length === 0
      ? `None of ${count(checked, 'certificate')} of ${batch} is ${none}${written} (${count(calls, 'call')}).`
      : `${groupDigits(remaining.length)} of ${count(checked, 'certificate')} of ${batch} should be ${should} and ${remaining.length === 1 ? 'is' : 'are'} ${found}${written} (${count(calls, 'call')}).`,
  ];
  if (remaining.length > 0 && action === 'retire')
    lines.push('Those were activated while the batch waited (outcome kept-active), or have registered again.');
  else if (remaining.length > 0 && action !== 'delete')
    lines.push('Submit them again with the same --action; certsweep dead list shows those that could not be changed.');
  else if (remaining.length > 0)
    lines.push(
      'While its CA is active, a device that holds its key can register again: certsweep ca inactivate <instance> <sn> keeps it out. Then submit them again; certsweep dead list shows those that could not be deleted.',
    );
  if (isMoved)
    lines.push(
      'A listing changed its order while it was read, or ended before its own total. Some may have been missed: verify again.',
    );
  if (unreadable > 0) lines.push(`${count(unreadable, 'row')} of the listings cannot be in a manifest: not checked.`);
  if (pending > 0) lines.push(`Not checked: ${count(pending, 'item')} of the batch still pending.`);
  return lines.join('\n');
}
