import type { LedgerStore } from '../../ledger/keys.ts';
import type { Activated, LateDetails } from '../../ledger/activation.ts';
import { Plan, type PlanDetails } from '../../ledger/plan.ts';
import type { ManifestRow } from '../../manifest/row.ts';
import { ManifestSummarizer, type Duplicates, type ManifestSummary } from './manifest-summary.ts';

/** A manifest that was read whole and stored, and that runs only once it is activated. */
export interface Submission {
  readonly batch: string;
  readonly summary: ManifestSummary;
  activate(late?: LateDetails): Promise<Activated>;
  /** Takes every trace of it away, unless it was activated. */
  discard(): Promise<void>;
}

type Rows = AsyncIterable<readonly ManifestRow[]>;

/**
 * Reads a manifest to its end and counts; touches nothing.
 * @param duplicates - other than the default for tests
 * @throws what the reader throws, and ScratchUnavailable
 */
export async function surveyManifest(
  rows: Rows,
  accountOf: (instanceId: string) => string | undefined,
  duplicates?: Duplicates,
): Promise<ManifestSummary> {
  const summarizer = new ManifestSummarizer(accountOf, duplicates);
  try {
    for await (const batch of rows) for (const row of batch) summarizer.add(row);
  } finally {
    summarizer.close();
  }
  return summarizer.summary;
}

/**
 * Reads a manifest once, storing its items as a plan on the way, so that memory hardly grows with it. Nothing of it can run before
 * `activate`; a plan whose submitter dies goes away by itself.
 * @param duplicates - other than the default for tests
 * @throws what the reader or Redis throws, or ScratchUnavailable, after the plan was discarded
 */
export async function planManifest(
  rows: Rows,
  accountOf: (instanceId: string) => string | undefined,
  { ledger }: { readonly ledger: LedgerStore },
  details: PlanDetails,
  duplicates?: Duplicates,
): Promise<Submission> {
  const plan = new Plan(ledger, details, Date.now());
  const summarizer = new ManifestSummarizer(accountOf, duplicates);
  try {
    for await (const batch of rows) {
      for (const row of batch) {
        const certificate = summarizer.add(row);
        if (certificate !== undefined) await plan.add(certificate);
      }
    }
  } catch (error) {
    await plan.discard();
    throw error;
  } finally {
    summarizer.close();
  }
  return {
    batch: plan.batch,
    summary: summarizer.summary,
    activate: (late) => plan.activate(late),
    discard: () => plan.discard(),
  };
}
