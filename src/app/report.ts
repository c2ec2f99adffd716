import type { Outcome } from '../core/batch.ts';
import { reportText, type ReportFormat } from '../ledger/report-text.ts';
import { reportRows } from '../ledger/report.ts';
import type { Store } from './store.ts';

export interface ReportRequest {
  readonly batch: string;
  readonly format: ReportFormat;
  /** Only the items that ended so. */
  readonly outcome?: Outcome;
}

export type ReportOutcome =
  /** The text in pieces of some hundred lines, read from Redis as it is taken. */
  { readonly kind: 'report'; readonly text: AsyncIterable<string> } | { readonly kind: 'no-batch' };

/** One row for each settled item of a batch, in the order in which they were settled. */
export async function reportOf({ ledger }: Store, { batch, format, outcome }: ReportRequest): Promise<ReportOutcome> {
  if ((await ledger.batches.find(batch)) === undefined) return { kind: 'no-batch' };
  return { kind: 'report', text: reportText(reportRows(ledger, batch, outcome), format) };
}
