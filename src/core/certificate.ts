/** One device certificate, as the API names it. Serial numbers are opaque: leading zeros and hex letters are part of them. */
export interface Certificate {
  readonly instanceId: string;
  readonly caSn: string;
  readonly deviceSn: string;
}

export const CERTIFICATE_FIELDS = ['instanceId', 'caSn', 'deviceSn'] as const;
export type CertificateField = (typeof CERTIFICATE_FIELDS)[number];

/** The API's limit for a serial number, in bytes of UTF-8 (DeleteDeviceCertificate, request parameters). */
export const MAX_FIELD_BYTES = 128;

/** Why a value cannot be a field of a certificate. */
export type CertificateFault =
  | { readonly kind: 'missing'; readonly field: CertificateField }
  | { readonly kind: 'not-text'; readonly field: CertificateField; readonly type: string }
  | { readonly kind: 'too-long'; readonly field: CertificateField; readonly bytes: number }
  | { readonly kind: 'control-character'; readonly field: CertificateField; readonly position: number }
  | { readonly kind: 'surrounding-space'; readonly field: CertificateField }
  | { readonly kind: 'not-unicode'; readonly field: CertificateField };

export type ParsedCertificate =
  | { readonly ok: true; readonly certificate: Certificate }
  | { readonly ok: false; readonly fault: CertificateFault };

/**
 * Checks three values of any type and answers with a certificate or the first fault.
 * Nothing is trimmed or converted: a padded or numeric serial number would name another device, or none.
 */
export function parseCertificate(input: Readonly<Record<CertificateField, unknown>>): ParsedCertificate {
  const certificate = { instanceId: '', caSn: '', deviceSn: '' };
  for (const field of CERTIFICATE_FIELDS) {
    const value = input[field];
    if (value === undefined || value === null || value === '') return { ok: false, fault: { kind: 'missing', field } };
    if (typeof value !== 'string') return { ok: false, fault: { kind: 'not-text', field, type: typeof value } };
    const fault = faultOf(field, value);
    if (fault !== undefined) return { ok: false, fault };
    certificate[field] = value;
  }
  return { ok: true, certificate };
}

/** Says a fault for a person, with the value's measure but without the rest of the line. */
export function describeFault(fault: CertificateFault): string {
  switch (fault.kind) {
    case 'missing':
      return `${fault.field} is missing`;
    case 'not-text':
      return `${fault.field} is ${fault.type === 'object' ? 'an' : 'a'} ${fault.type}, write it in quotes so that no digit is lost`;
    case 'too-long':
      return `${fault.field} is ${fault.bytes} bytes, at most ${MAX_FIELD_BYTES}`;
    case 'control-character':
      return `${fault.field} has a control or invisible character at position ${fault.position}`;
    case 'surrounding-space':
      return `${fault.field} begins or ends with white space`;
    case 'not-unicode':
      return `${fault.field} is not valid Unicode text, save the manifest as UTF-8`;
  }
}

// The characters that end or hide text in a log, a terminal or a form body: C0, DEL, C1, line and paragraph separators. And those that nobody
// sees, like U+200E, which Windows copies with a serial number: the certificate would seem to be gone already.
/** U+2800 is an empty Braille cell: a letter to Unicode, and nothing to see. */
const CONTROL = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/u;
// U+FFFD is what a decoder writes where bytes were no text: the serial number is lost already.
const MANGLED = /[\uD800-\uDFFF\uFFFD]/u;
const PRINTABLE_ASCII = /^[\x21-\x7e]+$/;

function faultOf(field: CertificateField, value: string): CertificateFault | undefined {
  if (PRINTABLE_ASCII.test(value)) {
    return value.length > MAX_FIELD_BYTES ? { kind: 'too-long', field, bytes: value.length } : undefined;
  }
  const control = value.search(CONTROL);
  if (control >= 0) return { kind: 'control-character', field, position: control + 1 };
  if (MANGLED.test(value)) return { kind: 'not-unicode', field };
  if (value.trim() !== value) return { kind: 'surrounding-space', field };
  const bytes = utf8Bytes(value);
  return bytes > MAX_FIELD_BYTES ? { kind: 'too-long', field, bytes } : undefined;
}

/** Length of well-formed text in bytes of UTF-8. */
export function utf8Bytes(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const point = character.codePointAt(0) ?? 0;
    bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  }
  return bytes;
}
