import { COUNT_FIELD, COUNTED, type Counts, type Outcome } from './batch.ts';
import type { RegisteredStatus } from './registered.ts';

/** What one call does with a certificate. */
export const CALL_ACTIONS = ['delete', 'inactivate', 'activate'] as const;
export type CallAction = (typeof CALL_ACTIONS)[number];

/** What a batch does with its certificates; it has one for its life. To retire is to inactivate, to wait, and to delete what may be deleted. */
export const ACTIONS = [...CALL_ACTIONS, 'retire'] as const;
export type Action = (typeof ACTIONS)[number];

/** What can be planned; activating undoes by hand, from a manifest. */
export const PLANNED_ACTIONS = ['delete', 'inactivate'] as const satisfies readonly Action[];
export type PlannedAction = (typeof PLANNED_ACTIONS)[number];

/** Of batches that say none: those of versions that knew no other. */
export const DEFAULT_ACTION = 'delete' satisfies Action;

/** How an item ends well: because of a call of ours, or because it was so before. */
export type GoodEnd = Exclude<Outcome, 'dead' | 'cancelled'>;

export const ENDS = {
  delete: { done: 'revoked', already: 'already-gone' },
  inactivate: { done: 'inactivated', already: 'already-inactive' },
  activate: { done: 'activated', already: 'already-active' },
} as const satisfies Readonly<Record<CallAction, { readonly done: GoodEnd; readonly already: GoodEnd }>>;

/** Outcomes that rest on a call of ours: whichever run gets the answer, it is true. */
export const DONE_OUTCOMES: readonly GoodEnd[] = CALL_ACTIONS.map((action) => ENDS[action].done);

/** The outcomes that items of a batch may have, in the order in which they are shown. */
export function outcomesOfAction(action: Action): readonly Outcome[] {
  return [...goodEndsOf(action), 'dead', 'cancelled'];
}

function goodEndsOf(action: Action): readonly GoodEnd[] {
  if (action === 'retire') return ['revoked', 'already-gone', 'inactivated', 'already-inactive', 'kept-active'];
  const { done, already } = ENDS[action];
  return [done, already];
}

/** The counts of a batch: those of every batch, and those that its action brings. */
export function countsOf(action: Action, count: (field: keyof Counts) => number): Counts {
  const fields = new Set<keyof Counts>(['accepted', 'revoked', 'alreadyGone', 'dead', 'cancelled']);
  for (const outcome of goodEndsOf(action)) fields.add(COUNT_FIELD[outcome]);
  const counts = COUNTED.filter((field) => fields.has(field)).map((field) => [field, count(field)]);
  return Object.fromEntries(counts) as Counts;
}

/** The status that an action leaves; undefined where it leaves none, since the certificate is gone. What is retired may stay inactive. */
export function statusAfter(action: Action): RegisteredStatus | undefined {
  switch (action) {
    case 'delete':
      return undefined;
    case 'inactivate':
    case 'retire':
      return 'inactive';
    case 'activate':
      return 'active';
  }
}

/** Whether a certificate that is found registered is not what the action left. */
export function isAmiss(action: Action, status: RegisteredStatus): boolean {
  return statusAfter(action) !== status;
}

export function actionNamed(name: string): Action | undefined {
  return ACTIONS.find((known) => known === name);
}
