import type { Verification, VerifyOutcome } from '../../app/verify.ts';
import { printable } from '../../core/printable.ts';
import { count } from './terminal.ts';

type Found = Extract<VerifyOutcome, { kind: 'verified' }>['found'];

export function describeRemaining({ instanceId, caSn, deviceSn, status }: Verification['remaining'][number]): string {
  return printable(`${instanceId} ${caSn} ${deviceSn}  ${status}`);
}

export function describeVerification(
  { batch, checked, remaining }: Verification,
  { isMoved, unreadable, calls }: Found,
  pending: number,
  out: string | undefined,
): string {
  const written = out === undefined ? '' : `, written to ${out}`;
  const lines = [
    remaining.length === 0
      ? `None of ${count(checked, 'certificate')} of ${batch} is registered${written} (${count(calls, 'call')}).`
      : `${count(remaining.length, 'certificate')} of ${batch} should be gone, and ${remaining.length === 1 ? 'is' : 'are'} registered, of ${count(checked, 'certificate')} looked for${written} (${count(calls, 'call')}).`,
  ];
  if (remaining.length > 0)
    lines.push(
      'While its CA is active, a device that holds its key can register again: certsweep ca inactivate <instance> <sn> keeps it out. Then submit them again; certsweep dead list shows those that could not be deleted.',
    );
  if (isMoved) lines.push('The order of a listing changed meanwhile, so some may have been missed: verify again.');
  if (unreadable > 0)
    lines.push(`${count(unreadable, 'row')} of the listings named no certificate that can be called for.`);
  if (pending > 0) lines.push(`${count(pending, 'item')} of the batch still pending: not looked for.`);
  return lines.join('\n');
}
