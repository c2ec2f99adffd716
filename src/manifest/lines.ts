import { isUtf8 } from 'node:buffer';
import { ManifestError } from './fault.ts';

/** Some lines that follow each other, without their line feeds; a carriage return before one is kept. */
export interface LineBlock {
  /** Of the first line, from 1. */
  readonly firstLine: number;
  readonly lines: readonly string[];
  /** The last line is the source's last and has no line feed. */
  readonly isUnended: boolean;
}

/** Some hundred times the longest sensible row, and small enough to hold. */
export const MAX_LINE_BYTES = 65_536;

const LINE_FEED = 0x0a;

/**
 * Cuts bytes into lines of text. Holds one line and one piece of at most 64 KiB, however large the source's chunks are. What
 * it yields before an error does not depend on how the source cuts its bytes: all lines before the faulty one.
 * @throws ManifestError for what is no text: compressed, a workbook, UTF-16, NULs, not UTF-8, a line over 64 KiB
 */
export async function* readLines(source: AsyncIterable<Uint8Array>): AsyncGenerator<LineBlock, void, undefined> {
  let rest = Buffer.alloc(0);
  let firstLine = 1;
  for await (const chunk of source) {
    // Pieces no longer than a line may be: then only the first line of what is held can be too long.
    for (let at = 0; at < chunk.length; at += MAX_LINE_BYTES) {
      const bytes = Buffer.concat([rest, chunk.subarray(at, at + MAX_LINE_BYTES)]);
      const end = bytes.lastIndexOf(LINE_FEED);
      if (end >= 0) {
        const block = yield* checkedBlock(bytes.subarray(0, end), firstLine, false);
        firstLine += block.lines.length;
      }
      rest = bytes.subarray(end + 1);
      if (rest.length > MAX_LINE_BYTES) throw overlong(rest, firstLine);
    }
  }
  if (rest.length > 0) yield* checkedBlock(rest, firstLine, true);
}

/** Yields the lines as a block and returns it, or yields those before the first faulty one and throws. */
function* checkedBlock(
  bytes: Buffer,
  firstLine: number,
  isUnended: boolean,
): Generator<LineBlock, LineBlock, undefined> {
  const fault = isClean(bytes, firstLine) ? undefined : firstFault(bytes, firstLine);
  if (fault === undefined) {
    const block = decode(bytes, firstLine, isUnended);
    yield block;
    return block;
  }
  if (fault.at > 0) yield decode(bytes.subarray(0, fault.at - 1), firstLine, false);
  throw fault.error;
}

function decode(bytes: Buffer, firstLine: number, isUnended: boolean): LineBlock {
  const text = bytes.toString('utf8');
  const lines = (firstLine === 1 && text.startsWith('\uFEFF') ? text.slice(1) : text).split('\n');
  return { firstLine, lines, isUnended };
}

function isClean(bytes: Buffer, firstLine: number): boolean {
  if (firstLine === 1 && foreign(bytes) !== undefined) return false;
  const end = bytes.indexOf(LINE_FEED);
  return (end < 0 ? bytes.length : end) <= MAX_LINE_BYTES && !bytes.includes(0) && isUtf8(bytes);
}

function firstFault(
  bytes: Buffer,
  firstLine: number,
): { readonly at: number; readonly error: ManifestError } | undefined {
  let line = firstLine;
  for (let at = 0; at < bytes.length; line += 1) {
    const end = bytes.indexOf(LINE_FEED, at);
    const stop = end < 0 ? bytes.length : end;
    const error = faultOf(bytes.subarray(at, stop), line);
    if (error !== undefined) return { at, error };
    at = stop + 1;
  }
  return undefined;
}

function faultOf(bytes: Buffer, line: number): ManifestError | undefined {
  if (bytes.length > MAX_LINE_BYTES) return overlong(bytes, line);
  const alien = alienFault(bytes, line);
  if (alien !== undefined || isUtf8(bytes)) return alien;
  return new ManifestError(`Line ${line} is not UTF-8. Save the manifest as UTF-8 (in Excel: "CSV UTF-8").`);
}

/** A line too long is seldom a line: the reason is then more useful than the length. */
function overlong(bytes: Buffer, line: number): ManifestError {
  return (
    alienFault(bytes.subarray(0, MAX_LINE_BYTES), line) ??
    new ManifestError(
      `Line ${line} is longer than ${MAX_LINE_BYTES / 1024} KiB. Write one certificate a line, with line feeds between.`,
    )
  );
}

function alienFault(bytes: Buffer, line: number): ManifestError | undefined {
  const format = line === 1 ? foreign(bytes) : undefined;
  if (format !== undefined) return new ManifestError(`The manifest is ${format}.`);
  if (!bytes.includes(0)) return undefined;
  return new ManifestError(
    `Line ${line} has NUL bytes: the manifest is binary, UTF-16, or was cut short by a crash. Write it again, as UTF-8 text.`,
  );
}

const SIGNATURES: readonly (readonly [name: string, ...bytes: number[]])[] = [
  ['compressed with gzip; unpack it first (gunzip)', 0x1f, 0x8b],
  ['a zip file or an Excel workbook; save the sheet as "CSV UTF-8", or unpack it first', 0x50, 0x4b, 0x03, 0x04],
  ['UTF-16; save it as UTF-8 (in Excel: "CSV UTF-8")', 0xff, 0xfe],
  ['UTF-16; save it as UTF-8 (in Excel: "CSV UTF-8")', 0xfe, 0xff],
];

/** What a file that begins so is, when it is certainly no manifest. */
function foreign(bytes: Buffer): string | undefined {
  return SIGNATURES.find(([, ...signature]) => signature.every((byte, at) => bytes[at] === byte))?.[0];
}
