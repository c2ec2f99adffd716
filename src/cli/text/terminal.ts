import { printable, printableJson, printableLines } from '../../core/printable.ts';

/** Data goes to standard output, everything said about it to stderr. What text from outside hides in either is written as an escape. */
export function say(text: string): void {
  process.stderr.write(`${printableLines(text)}\n`);
}

export function print(text: string): void {
  process.stdout.write(`${printableLines(text)}\n`);
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

/** 1234567 as 1,234,567. */
export function groupDigits(value: number): string {
  return value.toLocaleString('en-US');
}

/** 4,321 seconds as "1 h 12 min". */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const rest = minutes % 60;
  return rest === 0 ? `${minutes / 60} h` : `${Math.floor(minutes / 60)} h ${rest} min`;
}

/** One of something, several of it: `count(1, 'item')`, `count(2, 'item')`. */
export function count(number: number, noun: string, nouns = `${noun}s`): string {
  return `${groupDigits(number)} ${number === 1 ? noun : nouns}`;
}
