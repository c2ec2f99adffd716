import { count } from '../../core/counting.ts';
import type { Inventory } from '../../app/inventory.ts';
import { printable } from '../../core/printable.ts';

/** How many of those that were not found are named. */
const MOST_NAMED = 20;

export function describeInventory(inventory: Inventory, instanceId: string, out: string | undefined): string {
  const { certificates, state, stepsBack, calls, unreadable, isCutShort, notFound, ambiguous } = inventory;
  const where = out === undefined ? '' : `, written to ${out}`;
  const steps = stepsBack === 0 ? '' : `, ${count(stepsBack, 'step')} back`;
  const lines = [
    `${count(certificates, 'certificate')} of ${instanceId}${where}: ${state}, ${count(calls, 'call')}${steps}.`,
  ];
  if (certificates === 0 && notFound.length === 0)
    lines.push('No certificate matches: leave out a selector to see more.');
  if (state === 'moved')
    lines.push('The listing changed its order while it was read, so some certificates may be missing: run this again.');
  if (isCutShort)
    lines.push('The listing ended before its own total, so some certificates may be missing: run this again.');
  if (unreadable > 0) lines.push(`${count(unreadable, 'row')} of the listing cannot be in a manifest: left out.`);
  lines.push(
    ...named('Not found', notFound),
    ...named('Found by its number only, which may mean several certificates', ambiguous),
  );
  return lines.join('\n');
}

function named(what: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const rest = names.length - MOST_NAMED;
  const shown = names.slice(0, MOST_NAMED).map(printable);
  return [`${what}: ${shown.join('; ')}${rest > 0 ? `, and ${count(rest, 'other')}` : ''}.`];
}
