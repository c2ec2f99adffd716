import { extname } from 'node:path';
import { csvReader } from './csv.ts';
import { ManifestError } from './fault.ts';
import { readLines } from './lines.ts';
import type { LineBlock } from './lines.ts';
import { ndjsonReader } from './ndjson.ts';
import type { GivenFields, ManifestRow, RowReader } from './row.ts';

export type ManifestFormat = 'csv' | 'ndjson';

export interface ReadManifestOptions extends GivenFields {
  /** Without it the first character tells: `{` begins NDJSON, anything else CSV. */
  readonly format?: ManifestFormat;
  /** Take the last row of a CSV although it has no line end, as some tools write it; else it counts as cut off. NDJSON tells by its syntax. */
  readonly allowUnended?: boolean;
}

/** Rows in a batch; only the last may have fewer. */
const BATCH_ROWS = 1000;

/** The format that the file's name promises, from its extension in any case; undefined where it promises none. */
export function formatOf(path: string): ManifestFormat | undefined {
  switch (extname(path).toLowerCase()) {
    case '.csv':
      return 'csv';
    case '.ndjson':
    case '.jsonl':
      return 'ndjson';
    default:
      return undefined;
  }
}

/**
 * Reads a manifest as it comes, in batches of 1,000 rows in the order of the file, in memory that does not grow with it.
 * A row that names no certificate says why; it never stops the others. Duplicates are not looked for, see `SeenCertificates`.
 * @param source - the file's bytes, cut anywhere; closed when the reader of the batches stops early
 * @throws ManifestError when the manifest as a whole cannot be trusted. Full batches before the fault were yielded already, so
 * nothing may be acted on before the end is reached
 */
export async function* readManifest(
  source: AsyncIterable<Uint8Array>,
  options: ReadManifestOptions,
): AsyncGenerator<readonly ManifestRow[], void, undefined> {
  let reader: RowReader | undefined;
  let batch: ManifestRow[] = [];
  let read = 0;
  for await (const block of readLines(source)) {
    reader ??= readerFor(block, options);
    if (reader === undefined) continue;
    for (const row of reader.rows(block)) {
      batch.push(row);
      read += 1;
      if (batch.length < BATCH_ROWS) continue;
      yield batch;
      batch = [];
    }
  }
  if (reader === undefined) {
    throw new ManifestError('The manifest is empty. Check the path, or the command whose output it is.');
  }
  reader.end();
  if (read === 0) throw new ManifestError('The manifest has a header but no rows. Check the export that wrote it.');
  if (batch.length > 0) yield batch;
}

/** Undefined while all lines were blank. */
function readerFor(block: LineBlock, options: ReadManifestOptions): RowReader | undefined {
  const first = block.lines.find((line) => line.trim() !== '');
  if (first === undefined) return undefined;
  const format = options.format ?? (first.trimStart().startsWith('{') ? 'ndjson' : 'csv');
  return format === 'ndjson' ? ndjsonReader(options) : csvReader(options, options.allowUnended === true);
}
