import { groupDigits } from '../../core/counting.ts';
import { printable, printableJson, printableLines } from '../../core/printable.ts';
import { fit } from './fit.ts';

/** Standard output or standard error, where a terminal may read. */
interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Data goes to standard output, everything said about it to stderr. What text from outside hides in either is written as an escape. */
export function say(text: string): void {
  process.stderr.write(`${fitted(printableLines(text), process.stderr)}\n`);
}

export function print(text: string): void {
  process.stdout.write(`${printableLines(text)}\n`);
}

/** Text for people: a terminal gets it broken between words, a pipe as it is. */
export function printText(text: string): void {
  print(fitted(text, process.stdout));
}

/** Undefined where it is no terminal. */
export function columnsOfTerminal({ isTTY, columns }: Output): number | undefined {
  // A terminal that is made of a pipe says 0.
  return isTTY === true ? columns || 80 : undefined;
}

function fitted(text: string, stream: Output): string {
  const columns = columnsOfTerminal(stream);
  return columns === undefined ? text : fit(text, columns);
}

export function printJson(value: unknown): void {
  process.stdout.write(`${printableJson(JSON.stringify(value))}\n`);
}

/** A table for people: columns as wide as their widest cell, numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? groupDigits(cell) : printable(cell))));
  const widths = head.map((name, column) => Math.max(name.length, ...cells.map((row) => row[column]?.length ?? 0)));
  const isNumber = head.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'));
  return [head, ...cells]
    .map((row) =>
      row
        .map((cell, column) =>
          isNumber[column] === true ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
