/** What could move the cursor, hide or turn round text, or begin a line: control, format and separator characters. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const HIDDEN_BUT_LINES = /[^\P{Cc}\n\t]|[\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Text from outside made fit for one line of a terminal: what is hidden is written as an escape. */
export function printable(text: string): string {
  return text.replace(HIDDEN, escape);
}

/** The same for text of several lines, which keeps its line ends and tabs. */
export function printableLines(text: string): string {
  return text.replace(HIDDEN_BUT_LINES, escape);
}

/** JSON made fit for a terminal, with the same meaning: what JSON itself leaves as it is, such as U+009B and U+202E, becomes `\uXXXX`. */
export function printableJson(json: string): string {
  return json.replace(HIDDEN_BUT_LINES, (character) =>
    Array.from(
      { length: character.length },
      (_, at) => String.raw`\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}

/** Text without halves of surrogate pairs: written as JSON, they are escapes that a script of Redis cannot read. */
export function wellFormed(text: string): string {
  return text.replace(/\p{Cs}/gu, '\u{fffd}');
}

function escape(character: string): string {
  const point = character.codePointAt(0) ?? 0;
  return `\\u{${point.toString(16)}}`;
}
