import type { Certificate } from '../../src/core/certificate.ts';
import type { BatchDetail } from '../../src/app/overview.ts';
import type { FaultPlan } from '../../src/sandbox/fault-plan.ts';
import type { Caps } from '../support/pace-oracle.ts';
import { EGRESSES, type Rig, type RigWorker } from '../support/rig.ts';

/** A fault, what the product promises under it, and how it is brought about. */
export interface Scenario {
  readonly name: string;
  readonly promise: string;
  /** Items; enough for some seconds of work at the pace. The short selection takes fewer. */
  readonly items: number;
  /** Faults of the endpoint, as in a plan file. */
  readonly plan?: FaultPlan;
  /** Where they are not the usual ones. */
  readonly caps?: Caps;
  /** Percent of the cap that must be used between the ramp and the end, where nothing is broken for long. */
  readonly leastUsed?: number;
  /** Redis forgets what it acknowledged: then less is promised. */
  readonly isLossy?: boolean;
  /** Where the manifest is not just submitted. @returns the batch */
  submit?(rig: Rig, items: readonly Certificate[]): Promise<string>;
  /** Starts workers and disturbs them. The batch is submitted by then. @returns the batch to judge, where it is another one */
  disturb(rig: Rig, batch: string, items: readonly Certificate[]): Promise<string | void>;
}

/** A slot lies at most 50 ms ahead, and its call leaves at most 25 ms late. */
export const SLOTS_END_WITHIN_MS = 100;

export const PROMISE = 'every item in exactly one outcome, revoked is what was deleted, never over a cap';

/**
 * So slow that a busy machine keeps up: what is not used is idled away. Seen were 91 to 95% on two cores of its own, and 77 to 88% with another
 * program at work on each of them.
 */
export const UNHURRIED = { caps: { accountQps: 60, egressQps: 40 }, leastUsed: 65 };

/** Both source addresses, one worker each. */
export async function startTwo(rig: Rig, options: Parameters<Rig['startWorker']>[0] = {}): Promise<RigWorker[]> {
  return Promise.all(EGRESSES.map((egress) => rig.startWorker({ egress, ...options })));
}

/** Waits until at most such a share of the batch is pending. */
export const progress = (rig: Rig, batch: string, pendingShare: number): Promise<unknown> =>
  rig.until(batch, ({ pending, accepted }) => pending <= accepted * pendingShare);

/** Waits for the end of a batch, as an operator who has it go on each time it pauses itself. @returns how often it did */
export async function resumeUntilDone(rig: Rig, batch: string, withinMs?: number): Promise<number> {
  const isDoneOrPaused = ({ pending, state }: BatchDetail): boolean => pending === 0 || state === 'paused';
  for (let pauses = 0; ; pauses += 1) {
    const { pending } = await rig.until(batch, isDoneOrPaused, withinMs);
    if (pending === 0) return pauses;
    await rig.run(['resume', batch]);
  }
}
