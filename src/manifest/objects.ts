import { CERTIFICATE_FIELDS, describeFault, parseCertificate, type Certificate } from '../core/certificate.ts';
import type { ManifestRow } from './row.ts';

/** Rows of certificates that a program hands over; `line` is the position, from 1. */
export async function* rowsOfObjects(
  certificates: Iterable<Certificate> | AsyncIterable<Certificate>,
): AsyncGenerator<readonly ManifestRow[]> {
  let line = 0;
  for await (const certificate of certificates) {
    line += 1;
    yield [rowOfObject(certificate, line)];
  }
}

/** @param certificate - whatever it is: its type is a promise that JavaScript need not keep */
export function rowOfObject(certificate: unknown, line: number): ManifestRow {
  const isObject = typeof certificate === 'object' && certificate !== null;
  const fields = isObject ? (certificate as Partial<Record<(typeof CERTIFICATE_FIELDS)[number], unknown>>) : {};
  const parsed = parseCertificate({
    instanceId: fields.instanceId,
    caSn: fields.caSn,
    deviceSn: fields.deviceSn,
  });
  return parsed.ok
    ? { line, ok: true, certificate: parsed.certificate }
    : { line, ok: false, reason: describeFault(parsed.fault) };
}
