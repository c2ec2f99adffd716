import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CERTIFICATE_FIELDS,
  describeFault,
  MAX_FIELD_BYTES,
  parseCertificate,
  utf8Bytes,
} from '../../src/core/certificate.ts';
import type { CertificateFault } from '../../src/core/certificate.ts';

const CERTIFICATE = { instanceId: 'post-cn-a', caSn: '00F2', deviceSn: '00121' };
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 140 }),
  fc.string({ unit: 'grapheme', maxLength: 140 }),
  fc.string({
    unit: fc.constantFrom('0', 'f', ' ', '\t', 'é', '器', '😀', '\u00a0', '\ud83d', '\uFFFD', '\u2028'),
    maxLength: 60,
  }),
);

/** The rule told another way: by code points and by what a UTF-8 decoder makes of it. */
function isSerialNumber(value: string): boolean {
  const bytes = Buffer.from(value);
  const points = Array.from(value, (character) => character.codePointAt(0) ?? 0);
  const control = points.some(
    (point) => point < 0x20 || (point >= 0x7f && point < 0xa0) || point === 0x2028 || point === 0x2029,
  );
  const edges = [value.at(0), value.at(-1)].join('');
  return (
    bytes.length >= 1 &&
    bytes.length <= 128 &&
    !control &&
    bytes.toString() === value &&
    !/[\p{Cf}\p{DI}\u2800]/u.test(value) &&
    !value.includes('\uFFFD') &&
    !/\s/.test(edges)
  );
}

describe('parseCertificate', () => {
  it('takes exactly what the API can name, and changes nothing', () => {
    fc.assert(
      fc.property(anyText, fc.constantFrom(...CERTIFICATE_FIELDS), (value, field) => {
        const input = { ...CERTIFICATE, [field]: value };
        const parsed = parseCertificate(input);
        expect(parsed.ok).toBe(isSerialNumber(value));
        expect(parsed).toEqual(parsed.ok ? { ok: true, certificate: input } : { ok: false, fault: parsed.fault });
        expect(parsed.ok ? field : parsed.fault.field).toBe(field);
      }),
      { numRuns: 2000 },
    );
  });

  it('keeps zeros and letters, and hands on nothing else', () => {
    const input = { ...CERTIFICATE, deviceSn: '000', extra: 'x' };
    expect(parseCertificate(input)).toEqual({ ok: true, certificate: { ...CERTIFICATE, deviceSn: '000' } });
  });

  it('never throws, whatever it is given', () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), fc.anything(), (instanceId, caSn, deviceSn) => {
        const parsed = parseCertificate({ instanceId, caSn, deviceSn });
        expect(parsed.ok).toBe(
          [instanceId, caSn, deviceSn].every((value) => typeof value === 'string' && isSerialNumber(value)),
        );
      }),
    );
  });

  const faults: [unknown, Partial<CertificateFault>, string][] = [
    [undefined, { kind: 'missing' }, 'deviceSn is missing'],
    [null, { kind: 'missing' }, 'deviceSn is missing'],
    ['', { kind: 'missing' }, 'deviceSn is missing'],
    [12, { kind: 'not-text', type: 'number' }, 'deviceSn is a number, write it in quotes so that no digit is lost'],
    [{}, { kind: 'not-text', type: 'object' }, 'deviceSn is an object, write it in quotes so that no digit is lost'],
    ['x'.repeat(129), { kind: 'too-long', bytes: 129 }, 'deviceSn is 129 bytes, at most 128'],
    ['é'.repeat(65), { kind: 'too-long', bytes: 130 }, 'deviceSn is 130 bytes, at most 128'],
    ['a\nb', { kind: 'control-character', position: 2 }, 'deviceSn has a control or invisible character at position 2'],
    [
      '\u2029',
      { kind: 'control-character', position: 1 },
      'deviceSn has a control or invisible character at position 1',
    ],
    ...['\u034F', '\uFE0F', '\u3164', '\u2800', '\u200B'].map((hidden): (typeof faults)[number] => [
      `a${hidden}`,
      { kind: 'control-character', position: 2 },
      'deviceSn has a control or invisible character at position 2',
    ]),
    [' a', { kind: 'surrounding-space' }, 'deviceSn begins or ends with white space'],
    ['a\u3000', { kind: 'surrounding-space' }, 'deviceSn begins or ends with white space'],
    ['a\udc00', { kind: 'not-unicode' }, 'deviceSn is not valid Unicode text, save the manifest as UTF-8'],
    ['a\uFFFD', { kind: 'not-unicode' }, 'deviceSn is not valid Unicode text, save the manifest as UTF-8'],
  ];
  it.each(faults)('refuses %j', (deviceSn, fault, words) => {
    const parsed = parseCertificate({ ...CERTIFICATE, deviceSn });
    expect(parsed).toEqual({ ok: false, fault: { field: 'deviceSn', ...fault } });
    expect(parsed.ok || describeFault(parsed.fault)).toBe(words);
  });

  it('answers with the first fault in the order of the fields', () => {
    expect(CERTIFICATE_FIELDS).toEqual(['instanceId', 'caSn', 'deviceSn']);
    expect(parseCertificate({ instanceId: 'a', caSn: 1, deviceSn: '' })).toMatchObject({ fault: { field: 'caSn' } });
  });

  it('takes 128 bytes of any characters', () => {
    expect(MAX_FIELD_BYTES).toBe(128);
    for (const text of ['x'.repeat(128), 'é'.repeat(64), '😀'.repeat(32), `a${' '.repeat(126)}b`]) {
      expect(parseCertificate({ ...CERTIFICATE, caSn: text }).ok).toBe(true);
    }
  });
});

describe('utf8Bytes', () => {
  it('is the length of the bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(utf8Bytes(text)).toBe(Buffer.byteLength(text));
      }),
    );
  });

  it.each([
    ['\u007f', 1],
    ['\u0080', 2],
    ['\u07ff', 2],
    ['\u0800', 3],
    ['\uffff', 3],
    ['\u{10000}', 4],
  ])('of %j is %i', (text, bytes) => expect(utf8Bytes(text)).toBe(bytes));
});
