/** Code points that terminals draw over two columns: East Asian scripts and emoji. */
const WIDE =
  /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6]|\p{Emoji_Presentation}/u;
const NO_WIDTH = /\p{M}/u;
const ELLIPSIS = '…';

/** How many columns of a terminal a text takes. Control characters are not expected: see `printable`. */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) columns += NO_WIDTH.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
  return columns;
}

/** The text in at most this many columns; if it is longer, it ends with an ellipsis. */
export function cut(text: string, width: number): string {
  if (columnsOf(text) <= width) return text;
  return width < 1 ? '' : headOf(text, width - 1).trimEnd() + ELLIPSIS;
}

/** The text in lines of at most this many columns, broken between words, or within one that is longer than a line. */
export function wrap(text: string, width: number, indent = ''): string[] {
  return wrapParts(text.split(' '), width, { indent, between: ' ' });
}

/** A label and the blanks behind it, or the blanks that a line begins with: what continues below the line stands under its text. */
const HANGING = /^ *(?:\S+(?: \S+)? {2,}|\d\/\d \S+ +)?/;

/** Lines that fit this many columns, each broken between words where it is longer. */
export function fit(text: string, width: number): string {
  const lines = text.split('\n').flatMap((line) => {
    const hanging = HANGING.exec(line)?.[0] ?? '';
    return wrap(line, width, ' '.repeat(hanging.length > width / 2 ? 0 : hanging.length));
  });
  return lines.join('\n');
}

/** Parts in lines of at most this many columns, broken between parts; lines after the first begin with the indent. */
export function wrapParts(
  parts: readonly string[],
  width: number,
  { indent = '', between = '  ' }: { readonly indent?: string; readonly between?: string } = {},
): string[] {
  const lines: string[] = [];
  let line: string | undefined;
  for (const part of parts) {
    const longer: string = line === undefined ? part : `${line}${between}${part}`;
    if (columnsOf(longer) <= width) {
      line = longer;
      continue;
    }
    if (line !== undefined) lines.push(line);
    line = (lines.length === 0 ? '' : indent) + part;
    while (columnsOf(line) > width) {
      // At least one character a line, so that it ends on any terminal.
      const head: string = headOf(line, width) || line.slice(0, indent.length + 1);
      lines.push(head);
      line = indent + line.slice(head.length);
      if (indent.length >= width) indent = '';
    }
  }
  return line === undefined ? lines : [...lines, line];
}

function headOf(text: string, width: number): string {
  let head = '';
  let columns = 0;
  for (const character of text) {
    columns += columnsOf(character);
    if (columns > width) break;
    head += character;
  }
  return head;
}
