import { expect } from 'vitest';
import { readManifest } from '../../src/manifest/read-manifest.ts';
import type { ReadManifestOptions } from '../../src/manifest/read-manifest.ts';
import { ManifestError } from '../../src/manifest/fault.ts';
import type { ManifestRow } from '../../src/manifest/row.ts';

/** How a manifest ended: its rows, and the fault that stopped it. */
export interface Reading {
  readonly rows: readonly ManifestRow[];
  readonly fault?: string;
}

export const HEADER = 'instanceId,caSn,deviceSn';
export const CERTIFICATE = { instanceId: 'post-cn-a', caSn: '00aa', deviceSn: '0012' };

export async function* chunksOf(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  // A tick between chunks, as a stream has it.
  for (const chunk of chunks) yield await Promise.resolve(chunk);
}

/** Reads the chunks; anything but a ManifestError is thrown on. */
export async function readChunks(chunks: Iterable<Uint8Array>, options: ReadManifestOptions = {}): Promise<Reading> {
  const rows: ManifestRow[] = [];
  try {
    for await (const batch of readManifest(chunksOf(chunks), options)) rows.push(...batch);
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    return { rows, fault: error.message };
  }
  return { rows };
}

export async function read(text: string | Uint8Array, options?: ReadManifestOptions): Promise<Reading> {
  return readChunks([typeof text === 'string' ? Buffer.from(text) : text], options);
}

/** Lines as a CSV manifest with the usual header, so that row 1 is on line 2. */
export const csv = (...lines: string[]): string => [HEADER, ...lines, ''].join('\n');

/** `line: reason` of each faulty row, `line: ok` of the others. */
export const summary = ({ rows }: Reading): string[] =>
  rows.map((row) => `${row.line}: ${row.ok ? row.certificate.deviceSn : row.reason}`);

/** A row that is a fault; a pattern stands for a reason too long to repeat. */
export const faultyRow = (line: number, reason: string | RegExp): unknown => ({
  line,
  ok: false,
  reason: typeof reason === 'string' ? reason : expect.stringMatching(reason),
});

/** The same bytes in two chunks, cut at the offset. */
export const cutAt = (bytes: Uint8Array, offset: number): Uint8Array[] => [
  bytes.subarray(0, offset),
  bytes.subarray(offset),
];

/** The same bytes in chunks of one size. */
export function* cutInto(bytes: Uint8Array, size: number): Generator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
