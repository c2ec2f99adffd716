import type { Puzzle } from '../../core/decide-by-read.ts';
import type { Attempt } from '../../core/decide.ts';
import type { CallToNote } from '../../ledger/call-notes.ts';
import type { Disposition, Item } from './item.ts';

/**
 * What lies behind an item and what comes next, while the process has it. `attempt` only after a call of this run. `puzzle`: the code of the last
 * call told nothing, so the next one reads the certificate; another run repeats the call instead, which does no harm.
 */
export interface Course {
  attempt?: Attempt;
  puzzle?: Puzzle | undefined;
  /** It has been looked at, and its next call may delete it. */
  mayDelete?: boolean;
}

export function callOf({ batch, n, certificate, run }: Item, { attempt }: Course): CallToNote {
  return { batch, n, instanceId: certificate.instanceId, run, ...(attempt !== undefined && { attempt }) };
}

export function released({ attempt }: Course): Disposition {
  return attempt === undefined ? { kind: 'release' } : { kind: 'release', attempt };
}
