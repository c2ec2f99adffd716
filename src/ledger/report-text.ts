import { printableJson } from '../core/printable.ts';
import type { ReportRow } from './report.ts';

export type ReportFormat = 'csv' | 'ndjson';

/** The columns of a report, in their order; other programs depend on them. */
export const REPORT_COLUMNS = [
  'ordinal',
  'instanceId',
  'caSn',
  'deviceSn',
  'outcome',
  'code',
  'requestId',
  'attempts',
  'settledAt',
] as const satisfies readonly (keyof ReportRow)[];

/** Rows joined before they are handed on: a stream of single lines is slow. */
const JOINED_ROWS = 500;

/**
 * Writes rows as text, in pieces of some hundred lines.
 * @param columns - of a CSV, in their order; NDJSON has whatever a row has
 */
export async function* reportText<Row extends ReportRow>(
  rows: AsyncIterable<Row>,
  format: ReportFormat,
  columns: readonly (keyof Row & string)[] = REPORT_COLUMNS,
): AsyncGenerator<string> {
  const csvLine = (row: Row): string => columns.map((column) => csvCell(String(row[column]))).join(',');
  const write = format === 'csv' ? csvLine : jsonLine;
  let lines: string[] = format === 'csv' ? [columns.join(',')] : [];
  for await (const row of rows) {
    lines.push(write(row));
    if (lines.length < JOINED_ROWS) continue;
    yield `${lines.join('\n')}\n`;
    lines = [];
  }
  if (lines.length > 0) yield `${lines.join('\n')}\n`;
}

function jsonLine(row: ReportRow): string {
  return printableJson(JSON.stringify(row));
}

// What a spreadsheet would run as a formula when it opens the file.
const FORMULA = /^[=+\-@\t\r]/;

/** RFC 4180; text that a spreadsheet takes for a formula gets an apostrophe before it. */
function csvCell(text: string): string {
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
