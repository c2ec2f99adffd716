import type { CloudStop } from '../../app/cloud.ts';
import { blameOf } from '../../core/code-table.ts';
import { printable } from '../../core/printable.ts';

/** What the cloud was asked. */
export interface Asked {
  /** A noun: what may have been refused. */
  readonly what: string;
  /** The permissions that it needs. */
  readonly grant: string;
  /** What to do when the obstacle is gone. */
  readonly next: string;
}

/** Why there is no answer, and what to do. */
export function describeStop(end: CloudStop, account: string, { what, grant, next }: Asked): string {
  switch (end.kind) {
    case 'closed':
      return next === 'run this again' ? 'Interrupted.' : `Interrupted. To continue, ${next}.`;
    case 'halted':
      return `Account ${account} is halted (${end.code}: ${printable(end.message)}): ${next} when certsweep status no longer shows the halt.`;
    case 'refused':
      return `The ${what} was refused (${printable(end.code)}: ${printable(end.message)}): ${remedyOf(end.code, grant)}, then ${next}.`;
  }
}

function remedyOf(code: string, grant: string): string {
  if (code === 'FindCaBySnError') return 'check the serial number of the CA';
  const blame = blameOf(code);
  if (blame === 'credential') return `grant ${grant}`;
  if (blame === 'item') return 'check the serial number';
  if (blame === 'instance') return 'check the instance and the account that owns it';
  return 'run certsweep doctor';
}
