import { describeFault, parseCertificate } from '../core/certificate.ts';
import type { Certificate, CertificateField } from '../core/certificate.ts';
import { quoteValue } from './fault.ts';
import type { LineBlock } from './lines.ts';

/** A row of a manifest: a certificate, or why it is none. `line` is the line it begins on, from 1. */
export type ManifestRow = { readonly line: number } & (
  | { readonly ok: true; readonly certificate: Certificate }
  | { readonly ok: false; readonly reason: string }
);

/** What holds for the whole manifest: stands in for a value that a row lacks, and must agree with one that it has. */
export interface GivenFields {
  readonly instanceId?: string;
  readonly caSn?: string;
}

/** Makes rows of lines; it is handed all blocks of one manifest, in order. */
export interface RowReader {
  /** @throws ManifestError when what is wrong concerns the whole manifest; after the rows before it */
  rows(block: LineBlock): Iterable<ManifestRow>;
  /** To be called after the last block. @throws ManifestError when the last row has no end */
  end(): void;
}

/** Our names and the API's, in lower case. */
const FIELD_NAMES: ReadonlyMap<string, CertificateField> = new Map([
  ['instanceid', 'instanceId'],
  ['mqttinstanceid', 'instanceId'],
  ['casn', 'caSn'],
  ['devicesn', 'deviceSn'],
]);

/** The field that a column or key of this name holds, in any case. */
export function fieldNamed(name: string): CertificateField | undefined {
  return FIELD_NAMES.get(name.toLowerCase());
}

/**
 * The field that a name seems to mean, such as "Instance ID" or "device_sn", although it is not one of its names. It is not taken for it, and not
 * ignored either: what is given for the whole manifest would stand in for what the row says.
 */
export function fieldResembling(name: string): CertificateField | undefined {
  return fieldNamed(name) === undefined ? fieldNamed(name.replaceAll(/[^a-z]/gi, '')) : undefined;
}

/** A row from its three values, of any type; `undefined`, `null` and '' are missing. */
export function toRow(
  line: number,
  values: Readonly<Record<CertificateField, unknown>>,
  given: GivenFields,
): ManifestRow {
  const filled = {
    instanceId: isMissing(values.instanceId) ? given.instanceId : values.instanceId,
    caSn: isMissing(values.caSn) ? given.caSn : values.caSn,
    deviceSn: values.deviceSn,
  };
  const parsed = parseCertificate(filled);
  if (!parsed.ok) {
    const value = filled[parsed.fault.field];
    const shown = typeof value === 'string' && value !== '' ? `: ${quoteValue(value)}` : '';
    return { line, ok: false, reason: `${describeFault(parsed.fault)}${shown}` };
  }
  const { certificate } = parsed;
  const reason =
    disagreement('instanceId', certificate.instanceId, given.instanceId) ??
    disagreement('caSn', certificate.caSn, given.caSn) ??
    spreadsheetDamage('caSn', certificate.caSn) ??
    spreadsheetDamage('deviceSn', certificate.deviceSn);
  return reason === undefined ? { line, ok: true, certificate } : { line, ok: false, reason };
}

function isMissing(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}

/** Neither of two answers to "which certificate?" is taken in silence. */
function disagreement(field: CertificateField, value: string, given: string | undefined): string | undefined {
  if (given === undefined || value === given) return undefined;
  return `${field} is ${quoteValue(value)}, but ${quoteValue(given)} was given for the whole manifest`;
}

// 1.23E+15, in some countries 1,23E+15: legal as a serial number, but almost surely what a spreadsheet left of a longer one.
const SCIENTIFIC = /^\d(?:[.,]\d+)?E\+\d+$/i;

function spreadsheetDamage(field: CertificateField, value: string): string | undefined {
  if (!SCIENTIFIC.test(value)) return undefined;
  return (
    `${field} is ${quoteValue(value)}, which looks like a serial number that Excel rounded: ` +
    'export it again with the column formatted as text'
  );
}
