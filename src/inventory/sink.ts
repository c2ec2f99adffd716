import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, stat, type FileHandle } from 'node:fs/promises';
import type { Certificate } from '../core/certificate.ts';
import { readManifest } from '../manifest/read-manifest.ts';
import { partsOf, removeCheckpoint, type Written } from './checkpoint.ts';
import { headOf, lineOf, type InventoryFormat, type InventoryRow } from './row.ts';

/** Where the certificates of an inventory go. */
export interface Sink {
  /** What was written; undefined if nobody can continue from it. */
  written(): Written | undefined;
  write(rows: readonly InventoryRow[]): Promise<void>;
  /** Everything is written. */
  finish(): Promise<void>;
  /** Leaves what there is. */
  close(): Promise<void>;
}

/** Where nobody wants them. */
export const NO_SINK: Sink = {
  written: () => undefined,
  write: () => Promise.resolve(),
  finish: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

/** Hands them on as lines, the first of them when there is something to write: an inventory that is refused writes nothing. */
export function textSink(format: InventoryFormat, write: (text: string) => Promise<void>): Sink {
  let head = headOf(format);
  const writeOn = async (text: string): Promise<void> => {
    await write(head + text);
    head = '';
  };
  return {
    ...NO_SINK,
    write: (rows) => writeOn(linesOf(rows, format)),
    finish: () => (head === '' ? Promise.resolve() : writeOn('')),
  };
}

function linesOf(rows: readonly InventoryRow[], format: InventoryFormat): string {
  let text = '';
  for (const row of rows) text += lineOf(row, format);
  return text;
}

/**
 * Writes beside the file, and renames at the end, so that half an inventory never looks like a whole one.
 * @param from - bytes of an earlier run to keep; 0 starts over
 */
export async function fileSink(out: string, format: InventoryFormat, from: number): Promise<Sink> {
  const { part, progress } = partsOf(out);
  await mustBeReplaceable(out);
  const file: FileHandle = await open(part, from === 0 ? 'w' : 'r+', 0o600);
  if (from > 0) await file.truncate(from);
  // What is left of an earlier run would say of other rows how far they came.
  if (from === 0) await removeCheckpoint(progress);
  const hash = await hashOfPart(out, from);
  let bytes = from;
  const write = async (text: string): Promise<void> => {
    const rest = Buffer.from(text);
    hash.update(rest);
    for (let done = 0; done < rest.length;) {
      const { bytesWritten } = await file.write(rest, done, rest.length - done, bytes);
      done += bytesWritten;
      bytes += bytesWritten;
    }
  };
  if (from === 0) await write(headOf(format));
  return {
    written: () => ({ bytes, sha256: hash.copy().digest('hex') }),
    write: (rows) => write(linesOf(rows, format)),
    async finish() {
      await file.sync();
      await file.close();
      await rename(part, out);
      await removeCheckpoint(progress);
    },
    close: () => file.close(),
  };
}

/**
 * A file gets its name at the end, in place of what has it: that must not be a device or a pipe, and cannot be a folder.
 * @throws an error as the system's
 */
export async function mustBeReplaceable(out: string): Promise<void> {
  const found = await stat(out).catch(() => undefined);
  if (found === undefined || found.isFile()) return;
  const code = found.isDirectory() ? 'EISDIR' : 'it is not a regular file';
  throw Object.assign(new Error(`${out} cannot be written: ${code}`), { code, path: out });
}

/** Whether what an earlier run has written is still what it was. */
export async function isIntact(out: string, { bytes, sha256 }: Written): Promise<boolean> {
  return (await hashOfPart(out, bytes)).digest('hex') === sha256;
}

async function hashOfPart(out: string, bytes: number): Promise<Hash> {
  const hash = createHash('sha256');
  if (bytes === 0) return hash;
  for await (const chunk of createReadStream(partsOf(out).part, { end: bytes - 1 })) hash.update(chunk as Buffer);
  return hash;
}

/** What an earlier run has written, up to its checkpoint. */
export async function* writtenBefore(
  out: string,
  format: InventoryFormat,
  bytes: number,
): AsyncGenerator<Certificate, void, undefined> {
  if (bytes <= headOf(format).length) return;
  const source = createReadStream(partsOf(out).part, { end: bytes - 1 });
  for await (const rows of readManifest(source, { format })) for (const row of rows) if (row.ok) yield row.certificate;
}
