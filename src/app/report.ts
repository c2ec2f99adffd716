import { DEFAULT_ACTION, type Action } from '../core/action.ts';
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
  /** Joined to it, as one more column: the status of each certificate that was still there. */
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
  const found = await ledger.batches.find(batch);
  if (found === undefined) return { kind: 'no-batch' };
  const { action } = found;
  // Reports of batches that delete stay as other programs know them.
  const isOther = action !== DEFAULT_ACTION;
  const rows = isOther ? named(reportRows(ledger, batch, outcome), action) : reportRows(ledger, batch, outcome);
  const columns: readonly Column[] = isOther ? [...REPORT_COLUMNS, 'action'] : REPORT_COLUMNS;
  if (returned === undefined) return { kind: 'report', text: reportText<ReportedRow>(rows, format, columns) };
  if (returned.batch !== batch) return { kind: 'other-batch', batch: returned.batch };
  return { kind: 'report', text: reportText(joined(rows, returned), format, [...columns, 'remaining']) };
}

type Column = (typeof REPORT_COLUMNS)[number] | 'action';

/** With what its batch does, where that is not to delete. */
interface ReportedRow extends ReportRow {
  readonly action?: Action;
}

async function* named(rows: AsyncIterable<ReportRow>, action: Action): AsyncGenerator<ReportedRow> {
  for await (const row of rows) yield { ...row, action };
}

interface JoinedRow extends ReportedRow {
  /** `active` or `inactive` where the certificate was there; else empty. */
  readonly remaining: string;
}

async function* joined(rows: AsyncIterable<ReportedRow>, { remaining }: Verification): AsyncGenerator<JoinedRow> {
  const keyOf = ({ instanceId, caSn, deviceSn }: Omit<Verification['remaining'][number], 'status'>): string =>
    `${instanceId}\n${caSn}\n${deviceSn}`;
  const statuses = new Map(remaining.map((one) => [keyOf(one), one.status]));
  for await (const row of rows) {
    const status = row.outcome === 'cancelled' ? undefined : statuses.get(keyOf(row));
    yield { ...row, remaining: status ?? '' };
  }
}
