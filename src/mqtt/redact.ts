import type { AccessKey } from './access-key.ts';

/** Makes text from outside fit to be logged, kept and shown: no secret, no control character, at most 300 characters. */
export type Redact = (text: string) => string;

/** Longer texts are cut. */
export const MAX_MESSAGE_LENGTH = 300;
/** What is behind this is not even looked at: a page may be long, and little of it is shown. */
export const MAX_REDACTED_LENGTH = 8_192;
const REDACTED = '[redacted]';
/** A value shorter than this is no secret of the cloud's, and striking it out would mangle every message. */
const MIN_SECRET_LENGTH = 4;

/**
 * Parameters that prove who we are, wherever they stand: in a query, in JSON, or in the text to be signed, which a refusal
 * for a wrong signature repeats in full and percent-encoded once or twice. A value ends at `&`, encoded or not.
 */
const NAMED =
  /(AccessKeyId|AccessKeySecret|SecurityToken|Signature)(["']?\s*(?:[:=]|%(?:25)*3[AD])\s*["']?)(?:(?!%(?:25)*26)[^\s&"',;}])+/gi;
// The whole URL at once, its query included: a pattern that looked for the "?" from each beginning would take the square of the text's length.
const URL_WITH_QUERY = /https?:\/\/[^\s"'<>]+/gi;
// Also invisible and direction-changing characters: a message must not rewrite the line it is shown on.
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]+/gu;
const HALF_CHARACTER = /[\uD800-\uDBFF]$/;

/**
 * A redactor that strikes out secrets by name and by value, however often percent-encoded, and every URL's query.
 * @param key - the credentials in use; undefined where none were had
 */
export function redactorFor(key: AccessKey | undefined): Redact {
  const forms = key === undefined ? [] : formsOf(key);
  const values = forms.length === 0 ? undefined : patternOf(forms);
  return (text) => {
    // First of all, since one invisible character inside a secret would hide it from what follows.
    let clean = text.slice(0, MAX_REDACTED_LENGTH).replaceAll(UNPRINTABLE, ' ');
    if (values !== undefined) clean = clean.replaceAll(values, REDACTED);
    if (text.length > MAX_REDACTED_LENGTH) clean = withoutBeginning(clean, forms);
    clean = clean.replaceAll(URL_WITH_QUERY, withoutQuery).replaceAll(NAMED, `$1$2${REDACTED}`).trim();
    if (clean.length <= MAX_MESSAGE_LENGTH) return clean;
    return `${clean.slice(0, MAX_MESSAGE_LENGTH - 3).replace(HALF_CHARACTER, '')}...`;
  };
}

function withoutQuery(url: string): string {
  const at = url.indexOf('?');
  return at < 0 ? url : `${url.slice(0, at)}?${REDACTED}`;
}

/** A secret that was cut in two at the end of the text is no longer found whole. */
function withoutBeginning(text: string, forms: readonly string[]): string {
  const lower = text.toLowerCase();
  let end = text.length;
  for (const form of forms) {
    const begins = form.toLowerCase();
    for (let length = Math.min(begins.length, text.length); length > 0; length -= 1) {
      if (!lower.endsWith(begins.slice(0, length))) continue;
      end = Math.min(end, text.length - length);
      break;
    }
  }
  return text.slice(0, end);
}

/** The longest first: a value that begins like another must not leave its tail behind. */
function formsOf({ accessKeyId, accessKeySecret, securityToken }: AccessKey): string[] {
  const forms = new Set<string>();
  for (const secret of [securityToken, accessKeySecret, accessKeyId]) {
    if (secret === undefined || secret.length < MIN_SECRET_LENGTH) continue;
    const once = encodeURIComponent(secret);
    for (const form of [secret, once, encodeURIComponent(once)]) forms.add(form);
  }
  return [...forms].toSorted((a, b) => b.length - a.length);
}

function patternOf(forms: readonly string[]): RegExp {
  return new RegExp(forms.map((form) => form.replaceAll(/[^\w%]/g, String.raw`\$&`)).join('|'), 'gi');
}
