/**
 * Something is wrong with the manifest as a whole, so no row of it can be trusted. The message tells a person the thing,
 * the value and the next step; it does not name the file, which only the caller knows.
 */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
}

/** Characters of a value that a message shows. */
const SHOWN = 80;
// What JSON leaves as it is although it moves a cursor or hides text: DEL, C1, line separators, format characters.
const UNSEEN = /[\x7f-\x9f\p{Zl}\p{Zp}\p{Cf}]/gu;

/** The value in double quotes, escaped as in JSON and cut to 80 characters, so that a message stays one line of text. */
export function quoteValue(value: string): string {
  const cut = value.length > SHOWN ? `${value.slice(0, SHOWN)}…` : value;
  return JSON.stringify(cut).replace(UNSEEN, escapeCharacter);
}

function escapeCharacter(character: string): string {
  let escaped = '';
  for (let at = 0; at < character.length; at += 1) {
    escaped += `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`;
  }
  return escaped;
}
