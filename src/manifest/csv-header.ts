import { CERTIFICATE_FIELDS } from '../core/certificate.ts';
import type { CertificateField } from '../core/certificate.ts';
import { ManifestError, quoteValue } from './fault.ts';
import { fieldNamed, fieldResembling } from './row.ts';
import type { GivenFields } from './row.ts';

/** Which column holds what; columns of other names are ignored. */
export interface CsvHeader {
  /** Number of columns, the ignored ones included. */
  readonly width: number;
  /** Position of a field's column, from 0; a field without one is given for the whole manifest. */
  readonly columns: Readonly<Partial<Record<CertificateField, number>>>;
}

const EXAMPLE = 'instanceId,caSn,deviceSn';

/**
 * Reads the first record of a CSV manifest.
 * @param fields - undefined when the quotes in the text do not pair
 * @throws ManifestError when it is no header, lacks a column, or has one twice
 */
export function readHeader(
  line: number,
  text: string,
  fields: readonly string[] | undefined,
  given: GivenFields,
): CsvHeader {
  const names = (fields ?? []).map((name) => name.trim());
  const columns: Partial<Record<CertificateField, number>> = {};
  for (const [at, name] of names.entries()) {
    const field = fieldNamed(name);
    const meant = fieldResembling(name);
    if (meant !== undefined) {
      throw new ManifestError(
        `Line ${line}: column ${at + 1} is called ${quoteValue(name)}. If it holds the ${meant}, call it that; if not, give it another name.`,
      );
    }
    if (field === undefined) continue;
    const first = columns[field];
    if (first !== undefined) {
      throw new ManifestError(
        `Line ${line}: the header has ${field} twice, as ${quoteValue(names[first] ?? '')} (column ${first + 1}) and ` +
          `${quoteValue(name)} (column ${at + 1}). Keep the right one.`,
      );
    }
    columns[field] = at;
  }
  const missing = CERTIFICATE_FIELDS.filter((field) => {
    return columns[field] === undefined && (field === 'deviceSn' || given[field] === undefined);
  });
  if (missing.length > 0) throw noHeader(line, text, fields === undefined ? 'bad quotes' : missing);
  return { width: names.length, columns };
}

function noHeader(line: number, text: string, problem: 'bad quotes' | readonly CertificateField[]): ManifestError {
  const shown = quoteValue(text);
  if (/^[[{]/.test(text.trim())) {
    return new ManifestError(
      `Line ${line} begins like JSON where a CSV header should be: ${shown}. Write one JSON object a line and name the file .ndjson.`,
    );
  }
  if (text.includes('\r')) {
    return new ManifestError(
      `Line ${line} has carriage returns without line feeds: ${shown}. Save the manifest with line feeds (Unix) or both (Windows).`,
    );
  }
  const separator = foreignSeparator(text);
  if (separator !== undefined) {
    return new ManifestError(
      `Line ${line} is not comma separated: ${shown}, but ${separator}. Save the manifest as "CSV UTF-8 (comma delimited)".`,
    );
  }
  if (problem === 'bad quotes') {
    return new ManifestError(
      `Line ${line}: the quotes of the header do not pair: ${shown}. Write ${EXAMPLE}, without quotes.`,
    );
  }
  if (problem.includes('deviceSn')) {
    return new ManifestError(
      `Line ${line} is not a header with a deviceSn column: ${shown}. Begin the manifest with ${EXAMPLE}.`,
    );
  }
  return new ManifestError(
    `Line ${line}: the header has no column ${problem.join(' and none ')}: ${shown}. ` +
      'Add it, or give one value for the whole manifest.',
  );
}

const SEPARATORS: readonly (readonly [separator: string, name: string])[] = [
  [';', 'semicolons'],
  ['\t', 'tabs'],
  ['|', 'bars'],
];

/** What separates the columns when it is not commas, as spreadsheets do in many countries. */
function foreignSeparator(text: string): string | undefined {
  if (/^"?sep=/i.test(text)) return 'a separator line for Excel';
  const cells = (separator: string): string[] => text.replaceAll('"', '').split(separator);
  const found = SEPARATORS.find(([separator]) => {
    return cells(separator).length > 1 && cells(separator).some((cell) => fieldNamed(cell.trim()) !== undefined);
  });
  return found?.[1];
}
