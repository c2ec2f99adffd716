import type { Outcome } from '../core/batch.ts';
import type { Verification } from '../inventory/verification.ts';
import { REPORT_COLUMNS, reportText, type ReportFormat } from '../ledger/report-text.ts';
import { reportRows, type ReportRow } from '../ledger/report.ts';
import type { Store } from './store.ts';

export { parseVerification } from '../inventory/verification.ts';

export interface ReportRequest {
  readonly batch: string;
  readonly format: ReportFormat;
  /** Only the items that ended so. */
  readonly outcome?: Outcome;
  /** Joined to it, as one more column: the status of each certificate that was there all the same. */
  readonly returned?: Verification;
}

export type ReportOutcome =
  /** The text in pieces of some hundred lines, read from Redis as it is taken. */
  | { readonly kind: 'report'; readonly text: AsyncIterable<string> }
  | { readonly kind: 'no-batch' }
  /** The verification is of another batch. */
  | { readonly kind: 'other-batch'; readonly batch: string };

/** One row for each settled item of a batch, in the order in which they were settled. */
export async function reportOf(
  { ledger }: Store,
  { batch, format, outcome, returned }: ReportRequest,
): Promise<ReportOutcome> {
  if ((await ledger.batches.find(batch)) === undefined) return { kind: 'no-batch' };
  const rows = reportRows(ledger, batch, outcome);
  if (returned === undefined) return { kind: 'report', text: reportText(rows, format) };
  if (returned.batch !== batch) return { kind: 'other-batch', batch: returned.batch };
  return { kind: 'report', text: reportText(joined(rows, returned), format, [...REPORT_COLUMNS, 'remaining']) };
}

interface JoinedRow extends ReportRow {
  /** `active` or `inactive` where the certificate was there; else empty. */
  readonly remaining: string;
}

async function* joined(rows: AsyncIterable<ReportRow>, { remaining }: Verification): AsyncGenerator<JoinedRow> {
  const keyOf = ({ instanceId, caSn, deviceSn }: Omit<Verification['remaining'][number], 'status'>): string =>
    `${instanceId}\n${caSn}\n${deviceSn}`;
  const statuses = new Map(remaining.map((one) => [keyOf(one), one.status]));
  for await (const row of rows) {
    const status = row.outcome === 'cancelled' ? undefined : statuses.get(keyOf(row));
    yield { ...row, remaining: status ?? '' };
  }
}
