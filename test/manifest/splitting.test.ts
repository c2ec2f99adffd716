import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCertificate } from '../../src/core/certificate.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import { CERTIFICATE, csv, cutAt, cutInto, HEADER, read, readChunks } from './reading.ts';

const field = fc
  .string({ unit: fc.constantFrom('a', '0', ',', '"', '\\', '{', ':', ';', '=', ' ', 'é', '器', '😀'), minLength: 1 })
  .filter((value) => value.trim() === value && Buffer.byteLength(value) <= 128);
const certificate: fc.Arbitrary<Certificate> = fc.record({ instanceId: field, caSn: field, deviceSn: field });

const inQuotes = (value: string): string => `"${value.replaceAll('"', '""')}"`;
const quotedWhereNeeded = (value: string): string => (/[",]/.test(value) ? inQuotes(value) : value);
const row = (write: (value: string) => string, { instanceId, caSn, deviceSn }: Certificate): string =>
  [instanceId, caSn, deviceSn].map(write).join(',');

const long = (bytes: number): string => `i,c,d${'x'.repeat(bytes - 5)}`;

describe('generated certificates', () => {
  const writers: [string, (certificates: readonly Certificate[]) => string][] = [
    ['CSV, quoted where needed', (all) => csv(...all.map((one) => row(quotedWhereNeeded, one)))],
    ['CSV, all quoted', (all) => csv(...all.map((one) => row(inQuotes, one)))],
    ['CSV with CRLF', (all) => csv(...all.map((one) => row(quotedWhereNeeded, one)), '').replaceAll('\n', '\r\n')],
    ['NDJSON', (all) => all.map((one) => JSON.stringify(one)).join('\n')],
  ];

  it.each(writers)('come back from %s as they went in', async (_, write) => {
    await fc.assert(
      fc.asyncProperty(fc.array(certificate, { minLength: 1, maxLength: 30 }), async (certificates) => {
        for (const one of certificates) expect(parseCertificate(one).ok).toBe(true);
        const { rows, fault } = await read(write(certificates));
        expect(fault).toBeUndefined();
        expect(rows.map((one) => (one.ok ? one.certificate : one.reason))).toEqual(certificates);
      }),
    );
  });
});

describe('how the bytes are split', () => {
  // Pieces that mean something where they meet others: ends of lines, quotes, marks, halves of characters, no text at all.
  const piece = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.constantFrom(',', '"', '""', '\n', '\r\n', '\r', 'a', ' ', 'é', '😀', '\uFEFF', '1E+5'),
    },
    {
      weight: 4,
      arbitrary: fc.constantFrom(
        '\ni,c,d',
        '\n"i","c","d"',
        '\ni,"c\n",d',
        '\n\uFEFFi,c,d',
        '\ni,c,"d"\r\r',
        `\n${HEADER}`,
      ),
    },
    { weight: 2, arbitrary: fc.constantFrom(`\n${JSON.stringify(CERTIFICATE)}`, '\n{', '}', '"deviceSn":', '[') },
  );
  const foreign = fc.constantFrom([], [], [], [0], [0xff], [0xc3], [0xf0, 0x9f], [0xed, 0xa0, 0x80]);
  const start = fc.constantFrom(HEADER, `\uFEFF${HEADER}`, 'note,instanceId,caSn,deviceSn', '{}', '', '\n\n', 'sep=;');
  const manifest = fc
    .tuple(start, fc.array(piece, { maxLength: 25 }), foreign, fc.array(piece, { maxLength: 5 }))
    .map(([first, middle, bytes, last]) =>
      Buffer.concat([Buffer.from(first + middle.join('')), Buffer.from(bytes), Buffer.from(last.join(''))]),
    );

  it('changes nothing, at any offset and byte by byte', async () => {
    await fc.assert(
      fc.asyncProperty(manifest, async (bytes) => {
        const whole = await read(bytes);
        expect(await readChunks(cutInto(bytes, 1))).toEqual(whole);
        for (let offset = 0; offset <= bytes.length; offset += 1) {
          expect(await readChunks(cutAt(bytes, offset))).toEqual(whole);
        }
      }),
      { numRuns: 150 },
    );
  });

  it.each([
    ['lines of 64 KiB', csv(...Array.from({ length: 4 }, () => long(65_536)), 'i,c,d')],
    ['a line over 64 KiB', csv(...Array.from({ length: 1500 }, () => 'i,c,d'), long(65_537), 'i,c,d')],
    ['a line over 64 KiB at the end', csv(...Array.from({ length: 1500 }, () => 'i,c,d'), long(65_537))],
    ['a late NUL in a line over 64 KiB', csv(`${long(65_536)}\0`, 'i,c,d')],
    ['a NUL far behind in a line over 64 KiB', csv(`${long(100_000)}\0`, 'i,c,d')],
    ['a NUL after other faults', csv(...Array.from({ length: 2500 }, () => 'i,c'), '\0')],
    ['a quote closed too late', csv('i,c,"d', ...Array.from({ length: 20_000 }, () => 'i,c,d'), '"', '\0')],
    ['a quote closed in time', csv('i,c,"d', ...Array.from({ length: 10_000 }, () => 'i,c,d'), '"', 'i,c,d')],
    ['other bad quotes', csv(...Array.from({ length: 3000 }, (_, at) => (at % 7 === 0 ? 'i,c,"d"e' : '"i",c,d')))],
    ['bytes that are no text', csv(...Array.from({ length: 3000 }, () => '"i",c,d'), 'BAD', 'i,c,d')],
  ])('changes nothing with %s', async (_, text) => {
    const at = text.indexOf('BAD');
    const bytes = Buffer.from(text);
    if (at >= 0) bytes.fill(0xff, at, at + 3);
    const whole = await read(bytes);
    for (const size of [997, 4096, 65_535, 65_536, 65_537, 100_003]) {
      expect(await readChunks(cutInto(bytes, size))).toEqual(whole);
    }
    const middles = [65_536, 65_537, bytes.length - 1, Math.floor(bytes.length / 2)];
    for (const offset of middles) expect(await readChunks(cutAt(bytes, offset))).toEqual(whole);
  });
});
