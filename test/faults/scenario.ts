import type { Certificate } from '../../src/core/certificate.ts';
import type { Caps } from '../support/pace-oracle.ts';
import { EGRESSES, type Rig, type RigWorker } from '../support/rig.ts';

/** A fault, what the product promises under it, and how it is brought about. */
export interface Scenario {
  readonly name: string;
  readonly promise: string;
  /** Items; enough for some seconds of work at the pace. The short selection takes fewer. */
  readonly items: number;
  /** Faults of the endpoint, as in a plan file. */
  readonly plan?: object;
  /** Where they are not the usual ones. */
  readonly caps?: Caps;
  /** Percent of the cap that must be used between the ramp and the end, where nothing is broken for long. */
  readonly leastUsed?: number;
  /** Redis forgets what it acknowledged: then less is promised. */
  readonly isLossy?: boolean;
  /** Starts workers and disturbs them. The batch is submitted by then. @returns the batch to judge, where it is another one */
  disturb(rig: Rig, batch: string, items: readonly Certificate[]): Promise<string | void>;
}

export const PROMISE = 'every item in exactly one outcome, revoked is what was deleted, never over a cap';

/** Both source addresses, one worker each. */
export async function startTwo(rig: Rig, options: Parameters<Rig['startWorker']>[0] = {}): Promise<RigWorker[]> {
  return Promise.all(EGRESSES.map((egress) => rig.startWorker({ egress, ...options })));
}

/** Waits until at most such a share of the batch is pending. */
export const progress = (rig: Rig, batch: string, pendingShare: number): Promise<unknown> =>
  rig.until(batch, ({ pending, accepted }) => pending <= accepted * pendingShare);
