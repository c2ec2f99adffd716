import type { Redis } from 'ioredis';
import type { Ledger } from '../ledger/ledger.ts';
import { Plan, type Activated, type PlanDetails } from '../ledger/plan.ts';
import type { ManifestRow } from '../manifest/row.ts';
import { ManifestTally, type Tally } from './tally.ts';

/** A manifest that was read whole and stored, and that runs only once it is activated. */
export interface Submission {
  readonly batch: string;
  readonly tally: Tally;
  activate(): Promise<Activated>;
  /** Takes every trace of it away, unless it was activated. */
  discard(): Promise<void>;
}

type Rows = AsyncIterable<readonly ManifestRow[]>;

/**
 * Reads a manifest to its end and counts; touches nothing.
 * @throws what the reader throws, and ScratchUnavailable
 */
export async function surveyManifest(
  rows: Rows,
  accountOf: (instanceId: string) => string | undefined,
): Promise<Tally> {
  const judge = new ManifestTally(accountOf);
  try {
    for await (const batch of rows) for (const row of batch) judge.judge(row);
  } finally {
    judge.close();
  }
  return judge.tally;
}

/**
 * Reads a manifest once, storing its items as a plan on the way, so that memory hardly grows with it. Nothing of it can run before
 * `activate`; a plan whose submitter dies goes away by itself.
 * @throws what the reader or Redis throws, or ScratchUnavailable, after the plan was discarded
 */
export async function planManifest(
  rows: Rows,
  accountOf: (instanceId: string) => string | undefined,
  store: { readonly redis: Redis; readonly ledger: Ledger },
  details: PlanDetails,
): Promise<Submission> {
  const plan = new Plan(store.redis, store.ledger, details, Date.now());
  const judge = new ManifestTally(accountOf);
  try {
    for await (const batch of rows) {
      for (const row of batch) {
        const certificate = judge.judge(row);
        if (certificate !== undefined) await plan.add(certificate);
      }
    }
  } catch (error) {
    await plan.discard();
    throw error;
  } finally {
    judge.close();
  }
  return {
    batch: plan.batch,
    tally: judge.tally,
    activate: () => plan.activate(),
    discard: () => plan.discard(),
  };
}
