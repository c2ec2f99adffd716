import type { AccessKey } from './access-key.ts';

/** Makes text from outside fit to be logged, kept and shown: no secret, no control character, at most 300 characters. */
export type Redact = (text: string) => string;

/** Longer texts are cut. */
export const MAX_MESSAGE_LENGTH = 300;
const REDACTED = '[redacted]';
/** A value shorter than this is no secret of the cloud's, and striking it out would mangle every message. */
const MIN_SECRET_LENGTH = 4;

/**
 * Parameters that prove who we are, wherever they stand: in a query, in JSON, or in the text to be signed, which a refusal
 * for a wrong signature repeats in full and percent-encoded once or twice. A value ends at `&`, encoded or not.
 */
const NAMED =
  /(AccessKeyId|AccessKeySecret|SecurityToken|Signature)(["']?\s*(?:[:=]|%(?:25)*3[AD])\s*["']?)(?:(?!%(?:25)*26)[^\s&"',;}])+/gi;
const QUERY = /(https?:\/\/[^\s?"'<>]+)\?[^\s"'<>]*/gi;
// Also invisible and direction-changing characters: a message must not rewrite the line it is shown on.
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]+/gu;
const HALF_CHARACTER = /[\uD800-\uDBFF]$/;

/**
 * A redactor that strikes out secrets by name and by value, however often percent-encoded, and every URL's query.
 * @param key - the credentials in use; undefined where none were had
 */
export function redactorFor(key: AccessKey | undefined): Redact {
  const values = key === undefined ? undefined : patternOf(key);
  return (text) => {
    // First of all, since one invisible character inside a secret would hide it from what follows.
    let clean = text.replaceAll(UNPRINTABLE, ' ');
    if (values !== undefined) clean = clean.replaceAll(values, REDACTED);
    clean = clean.replaceAll(QUERY, `$1?${REDACTED}`).replaceAll(NAMED, `$1$2${REDACTED}`).trim();
    if (clean.length <= MAX_MESSAGE_LENGTH) return clean;
    return `${clean.slice(0, MAX_MESSAGE_LENGTH - 3).replace(HALF_CHARACTER, '')}...`;
  };
}

function patternOf({ accessKeyId, accessKeySecret, securityToken }: AccessKey): RegExp | undefined {
  const forms = new Set<string>();
  for (const secret of [securityToken, accessKeySecret, accessKeyId]) {
    if (secret === undefined || secret.length < MIN_SECRET_LENGTH) continue;
    const once = encodeURIComponent(secret);
    for (const form of [secret, once, encodeURIComponent(once)]) forms.add(form);
  }
  if (forms.size === 0) return undefined;
  // The longest first: a value that begins like another must not leave its tail behind.
  const longestFirst = [...forms].toSorted((a, b) => b.length - a.length);
  return new RegExp(longestFirst.map((form) => form.replaceAll(/[^\w%]/g, String.raw`\$&`)).join('|'), 'gi');
}
