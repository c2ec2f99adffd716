import type { PlannedAction } from './action.ts';
import type { CaShare, ClassCounts } from './plan.ts';

/** What a person should know before a plan is run. */
export type PlanWarning =
  /** A deleted certificate may register again. */
  | { readonly kind: 'ca-active'; readonly caSn: string; readonly inactive: number }
  /** They are called for all the same. */
  | { readonly kind: 'inactive-already'; readonly certificates: number }
  /** What has no record cannot be marked inactive, and a device that has the key can register. */
  | { readonly kind: 'absent-may-register'; readonly caSn: string; readonly certificates: number }
  | { readonly kind: 'ca-whole'; readonly caSn: string; readonly covered: number }
  | { readonly kind: 'ca-absent'; readonly caSn: string; readonly named: number }
  | { readonly kind: 'absent'; readonly certificates: number }
  | { readonly kind: 'other-ca'; readonly certificates: number }
  | { readonly kind: 'moved' }
  | { readonly kind: 'cut-short' }
  | { readonly kind: 'unreadable'; readonly rows: number };

/** What was noticed while the inventory was taken. */
export interface InventoryNotes {
  readonly state: 'stable' | 'moved';
  /** The listing ended before its own total says so. */
  readonly isCutShort: boolean;
  readonly unreadable: number;
}

export function warningsOf(
  action: PlannedAction,
  cas: readonly CaShare[],
  classes: ClassCounts,
  notes: InventoryNotes,
): PlanWarning[] {
  const warnings: PlanWarning[] = [];
  for (const { caSn, status, covered, surviving, classes: of } of cas) {
    if (status === 'absent') warnings.push({ kind: 'ca-absent', caSn, named: covered + of.absent + of.otherCa });
    if (action === 'inactivate') {
      if (status === 'active' && of.absent > 0)
        warnings.push({ kind: 'absent-may-register', caSn, certificates: of.absent });
      continue;
    }
    if (covered === 0) continue;
    if (status === 'active') warnings.push({ kind: 'ca-active', caSn, inactive: of.inactive });
    if (surviving === 0) warnings.push({ kind: 'ca-whole', caSn, covered });
  }
  if (action === 'inactivate' && classes.inactive > 0)
    warnings.push({ kind: 'inactive-already', certificates: classes.inactive });
  if (classes.absent > 0) warnings.push({ kind: 'absent', certificates: classes.absent });
  if (classes.otherCa > 0) warnings.push({ kind: 'other-ca', certificates: classes.otherCa });
  if (notes.state === 'moved') warnings.push({ kind: 'moved' });
  if (notes.isCutShort) warnings.push({ kind: 'cut-short' });
  if (notes.unreadable > 0) warnings.push({ kind: 'unreadable', rows: notes.unreadable });
  return warnings;
}

/** In words, on one line. Serial numbers are as they are: anyone who shows them must escape them. */
export function describeWarning(warning: PlanWarning): string {
  switch (warning.kind) {
    case 'ca-active': {
      const marks =
        warning.inactive === 0
          ? ''
          : ` Deleting its ${warning.inactive} inactive ${plural(warning.inactive, 'certificate')} removes the mark that keeps these devices out.`;
      return `CA ${warning.caSn} is active: a device that holds its key can register again. Inactivate the CA (certsweep ca inactivate), or use --action inactivate.${marks}`;
    }
    case 'inactive-already':
      return `${warning.certificates} ${plural(warning.certificates, 'certificate')} ${are(warning.certificates)} inactive already: inactivating changes nothing.`;
    case 'absent-may-register':
      return `CA ${warning.caSn} is active, and ${warning.certificates} ${plural(warning.certificates, 'certificate')} of it ${are(warning.certificates)} not registered: a device that holds such a key can register. Inactivate the CA (certsweep ca inactivate).`;
    case 'ca-whole':
      return `The plan covers CA ${warning.caSn} as a whole: certsweep ca delete does this in one call, not ${warning.covered}.`;
    case 'ca-absent':
      return `CA ${warning.caSn} is not registered: check the serial number of ${warning.named} ${plural(warning.named, 'certificate')}.`;
    case 'absent':
      return `${warning.certificates} ${plural(warning.certificates, 'certificate')} ${are(warning.certificates)} not registered: left out.`;
    case 'other-ca':
      return `${warning.certificates} ${plural(warning.certificates, 'certificate')} ${are(warning.certificates)} registered under another CA than the one named, likely a typo: left out.`;
    case 'moved':
      return 'The order of the listing changed during the inventory, so certificates shown as absent may be registered: plan again.';
    case 'cut-short':
      return 'The listing ended before its own total: certificates shown as absent may be registered, and more may survive. Plan again.';
    case 'unreadable':
      return `${warning.rows} ${plural(warning.rows, 'row')} of the listing cannot be in a manifest: not counted.`;
  }
}

function plural(n: number, thing: string): string {
  return n === 1 ? thing : `${thing}s`;
}

function are(n: number): string {
  return n === 1 ? 'is' : 'are';
}
