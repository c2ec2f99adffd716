import { CODE_TABLE, type CodeRow } from '../../src/core/code-table.ts';
import type { HaltScope } from '../../src/core/decide.ts';
import type { Fault } from '../../src/sandbox/fault-plan.ts';

/** A code that meets some of the devices: such a share of all, so often. */
interface Met {
  readonly share: number;
  readonly times?: number | 'always';
}

/** What a code does to a batch: it stops its account or instance, or it meets some of the devices. */
type Effect = { readonly halts: HaltScope } | Met;

/** By what is at fault: a code that is new in the table is met without a word here. */
const EFFECTS: Readonly<Record<CodeRow['blame'], Effect>> = {
  'not-found': { share: 0.01, times: 'always' },
  item: { share: 0.005, times: 'always' },
  instance: { halts: 'instance' },
  credential: { halts: 'account' },
  token: { halts: 'account' },
  'risk-control': { halts: 'account' },
  clock: { halts: 'account' },
  'our-request': { halts: 'account' },
  // Each slows the account for a while.
  rate: { share: 0.003 },
  nonce: { share: 0.02 },
  service: { share: 0.02 },
};

/** The codes of the table that stop an account or an instance, one for each row. */
export const HALTING_CODES = CODE_TABLE.flatMap((row) => {
  const effect = EFFECTS[row.blame];
  return 'halts' in effect ? [{ code: sampleOf(row), blame: row.blame, scope: effect.halts }] : [];
});

/** The other codes of the table, one for each row, as faults of a plan. */
export const PASSING_CODES = CODE_TABLE.flatMap((row): (Fault & { kind: 'code' })[] => {
  const effect = EFFECTS[row.blame];
  return 'halts' in effect ? [] : [{ kind: 'code', code: sampleOf(row), ...effect }];
});

/** A code that the row decides, and nothing but its kind of match finds. */
export function sampleOf({ match, code }: CodeRow): string {
  switch (match) {
    case 'exact':
      return code;
    case 'family':
      return `${code}.Whatever`;
    case 'prefix':
      return `${code}Whatever`;
    case 'contains':
      return `Some.${code}.Whatever`;
  }
}
