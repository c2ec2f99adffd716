import type { CertificateField } from '../core/certificate.ts';
import { quoteValue } from './fault.ts';
import { fieldNamed, fieldResembling, toRow } from './row.ts';
import type { GivenFields, ManifestRow, RowReader } from './row.ts';

/** Rows of newline delimited JSON: an object a line, its keys in any case, other keys ignored. */
export function ndjsonReader(given: GivenFields): RowReader {
  return {
    *rows({ firstLine, lines }) {
      let line = firstLine;
      for (const text of lines) {
        if (text.trim() !== '') yield rowOf(line, text, given);
        line += 1;
      }
    },
    end: () => {},
  };
}

function rowOf(line: number, text: string, given: GivenFields): ManifestRow {
  const object = parseObject(text);
  if (typeof object === 'string') return { line, ok: false, reason: object };
  const values: Record<CertificateField, unknown> = { instanceId: undefined, caSn: undefined, deviceSn: undefined };
  const keys = Object.keys(object);
  const keyOf: Partial<Record<CertificateField, string>> = {};
  for (const key of keys) {
    const field = fieldNamed(key);
    if (field === undefined) {
      const meant = fieldResembling(key);
      if (meant === undefined) continue;
      return {
        line,
        ok: false,
        reason: `key ${quoteValue(key)} is like ${meant}: call it that, or give it another name`,
      };
    }
    const first = keyOf[field];
    if (first !== undefined) {
      return { line, ok: false, reason: `${quoteValue(first)} and ${quoteValue(key)} both give ${field}: keep one` };
    }
    keyOf[field] = key;
    values[field] = object[key];
  }
  const repeated = repeatedKey(text, keys.length);
  if (repeated !== undefined) return { line, ok: false, reason: `key ${quoteValue(repeated)} appears twice: keep one` };
  return toRow(line, values, given);
}

/** The object, or why there is none. */
function parseObject(text: string): Readonly<Record<string, unknown>> | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The engine's own message repeats the line unescaped, in words that differ between its versions.
    return `not valid JSON: ${quoteValue(text.trim())}`;
  }
  if (Array.isArray(value)) return 'an array, where each line is one object';
  if (typeof value !== 'object' || value === null) return `not an object: ${quoteValue(text.trim())}`;
  return value as Record<string, unknown>;
}

const KEY_END = /"\s*:/;
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\]:]/g;

/**
 * A key that the object has twice. `JSON.parse` keeps the last one in silence, which may name another certificate.
 * @param text - valid JSON of an object
 * @param distinct - the number of its keys that `JSON.parse` found
 */
function repeatedKey(text: string, distinct: number): string | undefined {
  // Every key ends so: with no more of these ends than keys, none was lost. Most lines end here.
  if (text.split(KEY_END).length - 1 === distinct) return undefined;
  const seen = new Set<string>();
  let depth = 0;
  let last = '';
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === '{' || token === '[') depth += 1;
    else if (token === '}' || token === ']') depth -= 1;
    else if (token !== ':') last = token;
    else if (depth === 1) {
      const key = String(JSON.parse(last));
      if (seen.has(key)) return key;
      seen.add(key);
    }
  }
  return undefined;
}
