import { CsvError, parse } from 'csv-parse/sync';
import { CERTIFICATE_FIELDS, type CertificateField } from '../core/certificate.ts';
import { readHeader } from './csv-header.ts';
import type { CsvHeader } from './csv-header.ts';
import { ManifestError, quoteValue } from './fault.ts';
import { MAX_LINE_BYTES } from './lines.ts';
import type { LineBlock } from './lines.ts';
import { fieldNamed, toRow } from './row.ts';
import type { GivenFields, ManifestRow, RowReader } from './row.ts';

/** A row's text: one line, or several where a quoted field has line feeds. */
interface CsvRecord {
  readonly line: number;
  readonly text: string;
  readonly quoted: boolean;
}

/** A row that the source's end cuts off, or that ends without a line end; nobody can tell which. */
interface UnendedRow {
  readonly line: number;
  readonly text: string;
}

/** A record whose last line ends inside a quoted field. */
interface OpenRecord {
  readonly line: number;
  readonly text: string;
  readonly bytes: number;
}

const BAD_QUOTES =
  'the quotes do not pair: a value with a quote stands in quotes as a whole, and each quote in it is doubled';

// As reports write it, so that a spreadsheet does not run it. Read back, it would name another certificate.
const DISGUISED_FORMULA = /^'[=+\-@]/;
const UNDISGUISE =
  'reports put an apostrophe before a value that a spreadsheet would run; leave it out, or use NDJSON where it belongs to the value';

/**
 * Rows of comma separated values (RFC 4180) with a header. Lines without a quote are split here, the others by csv-parse, a
 * block at a time: for a million plain lines 0.4 s instead of 1.8 s (its stream with line numbers: 5.8 s).
 */
export function csvReader(given: GivenFields, allowUnended: boolean): RowReader {
  let header: CsvHeader | undefined;
  let open: OpenRecord | undefined;
  let unended: UnendedRow | undefined;

  /** The records that end in the block; stops at one that is too long, which stays open. */
  function gather(block: LineBlock): CsvRecord[] {
    const records: CsvRecord[] = [];
    let line = block.firstLine;
    for (const text of block.lines) {
      if (open === undefined && !text.includes('"')) {
        if (text.trim() !== '') records.push({ line, text: withoutReturn(text), quoted: false });
      } else {
        const bytes = Buffer.byteLength(text);
        // Quotes inside quotes are doubled, so a record ends where their number is even.
        const ends = (text.split('"').length % 2 === 1) === (open === undefined);
        open =
          open === undefined
            ? { line, text, bytes }
            : { line: open.line, text: `${open.text}\n${text}`, bytes: open.bytes + 1 + bytes };
        if (ends) {
          records.push({ line: open.line, text: withoutReturn(open.text), quoted: true });
          open = undefined;
        } else if (open.bytes > MAX_LINE_BYTES) break;
      }
      line += 1;
    }
    return records;
  }

  function rowOf(line: number, fields: readonly string[] | undefined, { width, columns }: CsvHeader): ManifestRow {
    if (fields === undefined) return { line, ok: false, reason: BAD_QUOTES };
    if (fields.length !== width) {
      const hint = fields.length > width ? '; a value with a comma must stand in quotes' : '';
      const found = fields.length === 1 ? '1 field' : `${fields.length} fields`;
      return { line, ok: false, reason: `${found} where the header has ${width}${hint}` };
    }
    const value = (field: CertificateField): string | undefined => fields[columns[field] ?? width];
    const values = { instanceId: value('instanceId'), caSn: value('caSn'), deviceSn: value('deviceSn') };
    if (fields.some(namesDevices)) {
      // It must not pass for a certificate, and each row behind one with other columns would name another certificate.
      if (!hasSameColumns(fields, columns)) throw otherHeader(line, fields);
      const reason = `deviceSn is ${quoteValue(values.deviceSn ?? '')}: a header in the middle of the manifest`;
      return { line, ok: false, reason };
    }
    for (const field of CERTIFICATE_FIELDS) {
      const text = values[field];
      if (text?.startsWith("'") !== true || !DISGUISED_FORMULA.test(text)) continue;
      return { line, ok: false, reason: `${field} is ${quoteValue(text)}: ${UNDISGUISE}` };
    }
    return toRow(line, values, given);
  }

  return {
    *rows(block) {
      const records = gather(block);
      const quoted = splitQuoted(records.filter((record) => record.quoted)).values();
      for (const record of records) {
        const fields = record.quoted ? quoted.next().value : record.text.split(',');
        if (header === undefined) header = readHeader(record.line, record.text, fields, given);
        else {
          if (block.isUnended && record === records.at(-1) && !isWhole(block, fields, header)) unended = record;
          yield rowOf(record.line, fields, header);
        }
      }
      if (open !== undefined && open.bytes > MAX_LINE_BYTES) throw unclosed(open.line);
    },
    end() {
      if (open !== undefined) throw unclosed(open.line);
      if (unended !== undefined && !allowUnended) throw cutShort(unended);
    },
  };
}

/**
 * Whether the last row is whole although no line feed follows: it has all its fields, and the last one is closed by its quote, or a carriage return
 * follows it. Of any other row a part may be missing, and what is left of a serial number may be that of another certificate.
 */
function isWhole({ lines }: LineBlock, fields: readonly string[] | undefined, { width }: CsvHeader): boolean {
  const last = lines.at(-1) ?? '';
  // Blanks where a row would begin name no certificate.
  if (last.trim() === '') return true;
  return fields?.length === width && (last.endsWith('"') || last.endsWith('\r'));
}

/** Whether the value is the name of a column that every header has: manifests joined with `cat` have a header in their midst. */
function namesDevices(value: string): boolean {
  // Its length first, since this is asked of every value; some more for blanks and a BOM.
  return value.length >= 8 && value.length < 12 && fieldNamed(value.trim()) === 'deviceSn';
}

function hasSameColumns(fields: readonly string[], columns: CsvHeader['columns']): boolean {
  return fields.every((name, at) => {
    const field = fieldNamed(name.trim());
    return field === undefined ? !Object.values(columns).includes(at) : columns[field] === at;
  });
}

function withoutReturn(text: string): string {
  return text.endsWith('\r') ? text.slice(0, -1) : text;
}

/** The fields of each record, undefined where its quotes do not pair. */
function splitQuoted(records: readonly CsvRecord[]): readonly (readonly string[] | undefined)[] {
  if (records.length === 0) return [];
  // A call costs as much as six rows, so one call for all, and one each only where something is wrong. The line feed alone
  // ends a record in both, so that a row's fate never depends on its neighbours.
  const together = parseRecords(records.map((record) => record.text).join('\n'));
  if (together?.length === records.length) return together;
  return records.map((record) => {
    const alone = parseRecords(record.text);
    return alone?.length === 1 ? alone[0] : undefined;
  });
}

function parseRecords(text: string): string[][] | undefined {
  try {
    return parse(text, { relax_column_count: true, record_delimiter: '\n' });
  } catch (error) {
    if (error instanceof CsvError) return undefined;
    throw error;
  }
}

function unclosed(line: number): ManifestError {
  return new ManifestError(
    `The row that begins on line ${line} has a quote that is not closed by the end of the manifest or within ` +
      `${MAX_LINE_BYTES / 1024} KiB. Close it, or double a quote that belongs to the value.`,
  );
}

function otherHeader(line: number, fields: readonly string[]): ManifestError {
  return new ManifestError(
    `Line ${line} is another header in the middle of the manifest: ${quoteValue(fields.join(','))}. Its columns are not those of the first, so the rows ` +
      'after it would name other certificates. Submit the joined manifests one by one.',
  );
}

function cutShort({ line, text }: UnendedRow): ManifestError {
  return new ManifestError(
    `The last row, on line ${line}, has no line end: ${quoteValue(text)}. If the manifest was cut off there, its last value may name another ` +
      'certificate: write the manifest again. If your tool never ends the last line, add a line feed, or --allow-unterminated.',
  );
}
