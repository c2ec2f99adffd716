import { count, groupDigits } from '../../core/counting.ts';
import { outcomesOfAction, type Action } from '../../core/action.ts';
import { COUNT_FIELD, type Counts, type Outcome } from '../../core/batch.ts';

/** What an action does to this many certificates, for the question that asks for the number. */
export function describeEffect(action: Action, certificates: number): string {
  const them = count(certificates, 'device certificate');
  const isOne = certificates === 1;
  switch (action) {
    case 'delete':
      return `This deletes ${them} for good.`;
    case 'inactivate':
      return `This inactivates ${them}: ${isOne ? 'its device is' : 'their devices are'} kept out until somebody activates ${isOne ? 'it' : 'them'} again.`;
    case 'retire':
      return `This inactivates ${them}, and deletes ${isOne ? 'it' : 'them'} after the soak where ${isOne ? 'its device' : 'their devices'} cannot register again.`;
    case 'activate':
      return `This activates ${them}: ${isOne ? 'its device' : 'their devices'} may connect again.`;
  }
}

/** The word for what is done, after "to" or "will". */
export function verbOf(action: Action): string {
  return action === 'delete' ? 'revoke' : action;
}

/** An outcome, for people. */
export function labelOf(outcome: Outcome): string {
  return outcome.replace('-', ' ');
}

/** How many items of a batch ended in each way that its action has. */
export function endsOf(
  action: Action,
  counts: Counts,
): { readonly label: string; readonly outcome: Outcome; readonly items: number }[] {
  return outcomesOfAction(action).map((outcome) => ({
    outcome,
    label: labelOf(outcome),
    items: counts[COUNT_FIELD[outcome]] ?? 0,
  }));
}

/** `4 revoked, 0 already gone, 1 dead, 0 cancelled`. */
export function describeEnds(action: Action, counts: Counts): string {
  return endsOf(action, counts)
    .map(({ label, items }) => `${groupDigits(items)} ${label}`)
    .join(', ');
}
