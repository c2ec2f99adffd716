import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { ManifestError, quoteValue } from '../../src/manifest/fault.ts';
import { formatOf, readManifest } from '../../src/manifest/read-manifest.ts';
import { generateCertificates } from '../../src/sandbox/generate.ts';
import { CERTIFICATE, chunksOf, csv, HEADER, read, readChunks } from './reading.ts';

const OK = 'post-cn-a,00aa,0012';
const UTF16 = Buffer.from(`\uFEFF${csv(OK)}`, 'utf16le');

/** A row of so many bytes, and a manifest that has a column for it. */
const long = (bytes: number): string => `${OK},${'x'.repeat(bytes - OK.length - 1)}`;
const wide = (...lines: string[]): string => [`${HEADER},note`, ...lines, ''].join('\n');

async function* broken(): AsyncGenerator<Uint8Array> {
  yield Buffer.from(csv(OK));
  await setImmediate();
  throw new Error('EIO');
}

describe('formatOf', () => {
  it.each([
    ['fleet.csv', 'csv'],
    ['/data/FLEET.CSV', 'csv'],
    ['a.csv.ndjson', 'ndjson'],
    ['fleet.JsonL', 'ndjson'],
    ['fleet.json', undefined],
    ['fleet.csv.gz', undefined],
    ['csv', undefined],
    ['-', undefined],
  ] as const)('%s: %s', (path, format) => expect(formatOf(path)).toBe(format));
});

describe('without a format', () => {
  it.each([
    ['NDJSON', JSON.stringify(CERTIFICATE)],
    ['NDJSON after blank lines', `\n \t\r\n  ${JSON.stringify(CERTIFICATE)}`],
    ['CSV', csv(OK)],
    ['CSV after many blank lines', `${'\n'.repeat(70_000)}${csv(OK)}`],
  ])('knows %s', async (_, text) => {
    expect((await read(text)).rows).toMatchObject([{ ok: true, certificate: CERTIFICATE }]);
  });
});

describe('what is no manifest', () => {
  it.each([
    ['nothing', '', /^The manifest is empty\. Check the path/],
    ['blank lines', '\uFEFF\r\n  \n', /^The manifest is empty/],
    ['gzip', gzipSync(csv(OK)), /^The manifest is compressed with gzip; unpack it first/],
    ['a large gzip', gzipSync(csv(...Array.from({ length: 20_000 }, () => String(Math.sin(1)))), { level: 0 }), /gzip/],
    ['a workbook', Buffer.concat([Buffer.from('PK\u0003\u0004'), Buffer.alloc(99)]), /zip file or an Excel workbook/],
    ['UTF-16, little endian', UTF16, /^The manifest is UTF-16; save it as UTF-8/],
    ['UTF-16, big endian', Buffer.from(UTF16).swap16(), /^The manifest is UTF-16; save it as UTF-8/],
    ['UTF-16 without a mark', UTF16.subarray(2), /^Line 1 has NUL bytes: the manifest is binary, UTF-16/],
    ['NULs', Buffer.alloc(1000), /^Line 1 has NUL bytes/],
    ['many NULs', Buffer.alloc(200_000), /^Line 1 has NUL bytes/],
    ['an end of NULs', Buffer.concat([Buffer.from(csv(OK)), Buffer.alloc(200_000)]), /^Line 3 has NUL bytes/],
    ['Latin-1', Buffer.from(csv(OK, 'post-cn-é,1,2'), 'latin1'), /^Line 3 is not UTF-8\. Save the manifest as UTF-8/],
    ['gzip in the midst', Buffer.concat([Buffer.from(csv()), gzipSync('')]), /^Line 2 has NUL bytes/],
    ['half a character', Buffer.from(csv(OK, 'é')).subarray(0, -2), /^Line 3 is not UTF-8/],
    ['a surrogate in UTF-8', Buffer.concat([Buffer.from(csv()), Buffer.from([0xed, 0xa0, 0x80])]), /^Line 2 is not/],
    ['a line over 64 KiB', wide(OK, long(65_537), OK), /^Line 3 is longer than 64 KiB\. Write one certificate a line/],
    ['a last line over 64 KiB', wide(OK, long(65_537)).trimEnd(), /^Line 3 is longer than 64 KiB/],
    ['a line of a megabyte', wide(long(1_000_000), OK), /^Line 2 is longer than 64 KiB/],
  ])('%s is refused', async (_, bytes, fault) => {
    for (const format of ['csv', 'ndjson', undefined] as const) {
      expect((await read(bytes, format && { format })).fault).toMatch(fault);
    }
  });

  it('a line of 64 KiB is a manifest', async () => {
    const { rows, fault } = await read(wide(long(65_536), long(65_536)));
    expect([fault, rows.map((row) => row.ok)]).toEqual([undefined, [true, true]]);
  });

  it.each([
    ['a line', 'x'.repeat(10_000), /^Line 1 is longer than 64 KiB/],
    ['a value in quotes', csv('"', ...Array.from({ length: 500 }, () => OK)), /^The row that begins on/],
  ])('%s that never ends is refused early and fills no memory', async (_, text, fault) => {
    let pieces = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(text);
      for (; pieces < 1000; pieces += 1) yield Buffer.from(text.replaceAll('"', ''));
    }
    await expect(readManifest(endless(), {}).next()).rejects.toThrow(fault);
    expect(pieces).toBeLessThan(20);
  });

  it('is said by an error of its own', () => {
    expect(new ManifestError('x')).toMatchObject({ name: 'ManifestError', message: 'x' });
  });
});

describe('batches', () => {
  const fleet = [...generateCertificates(5500, { seed: 1, instanceId: 'post-cn-a', caSn: '00aa' })];
  const text = csv(...fleet.map(({ instanceId, caSn, deviceSn }) => `${instanceId},${caSn},${deviceSn}`));

  it('have 1,000 rows in the order of the file, from a real file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'certsweep-manifest-'));
    try {
      await writeFile(join(folder, 'fleet.csv'), text);
      const batches = [];
      for await (const batch of readManifest(createReadStream(join(folder, 'fleet.csv')), {})) batches.push(batch);
      expect(batches.map((batch) => batch.length)).toEqual([1000, 1000, 1000, 1000, 1000, 500]);
      expect(batches.flat()).toEqual(fleet.map((certificate, at) => ({ line: at + 2, ok: true, certificate })));
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('before a fault of the whole manifest are the full ones', async () => {
    expect((await read(`${text}"`)).rows).toHaveLength(5000);
    expect((await readChunks([Buffer.from(text), Buffer.from([0xff])])).rows).toHaveLength(5000);
  });

  it('that nobody wants any more close the source', async () => {
    let closed = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        yield Buffer.from(`${HEADER}\n`);
        for (;;) yield Buffer.from(`${OK}\n`);
      } finally {
        closed = true;
      }
    }
    for await (const batch of readManifest(endless(), {})) {
      expect(batch).toHaveLength(1000);
      break;
    }
    expect(closed).toBe(true);
  });

  it('hand on an error of the source as it is', async () => {
    await expect(readManifest(broken(), {}).next()).rejects.toThrow('EIO');
  });

  it('do not change when the source uses its chunks again', async () => {
    const chunk = Buffer.alloc(7);
    function* reused(): Generator<Uint8Array> {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; at += 7) yield chunk.subarray(0, bytes.copy(chunk, 0, at, at + 7));
    }
    const { rows } = await readChunks(reused());
    expect(rows.map((row) => row.ok && row.certificate)).toEqual(fleet);
  });

  it('come while the source still runs', async () => {
    let given = 0;
    async function* counted(): AsyncGenerator<Uint8Array> {
      for await (const chunk of chunksOf([Buffer.from(text)])) {
        for (let at = 0; at < chunk.length; at += 4096, given += 1) yield chunk.subarray(at, at + 4096);
      }
    }
    const reading = readManifest(counted(), {});
    await reading.next();
    const needed = given;
    for await (const _ of reading) expect(given).toBeGreaterThan(0);
    expect(needed).toBeLessThan(given / 3);
  });
});

describe('quoteValue', () => {
  it.each([
    ['a"b\\', String.raw`"a\"b\\"`],
    ['\u001b[2J\u009b', String.raw`"\u001b[2J\u009b"`],
    ['\u2028\u202e\u00ad\u{e0001}', String.raw`"\u2028\u202e\u00ad\udb40\udc01"`],
    ['x'.repeat(80), `"${'x'.repeat(80)}"`],
    ['x'.repeat(81), `"${'x'.repeat(80)}…"`],
    [`${'x'.repeat(79)}😀`, `"${'x'.repeat(79)}${String.raw`\ud83d`}…"`],
    ['器é', '"器é"'],
  ])('%j', (value, shown) => expect(quoteValue(value)).toBe(shown));
});
