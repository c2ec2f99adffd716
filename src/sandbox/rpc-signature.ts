import { createHmac } from 'node:crypto';

/**
 * The RPC signature, version 1.0, as the official Node SDK makes it (@alicloud/pop-core 1.8.0, lib/rpc.js): HMAC-SHA1 over
 * `METHOD&%2F&<canonical query, encoded once more>` with the secret and a trailing `&` as key, in base64.
 */
export function signRpc(method: string, parameters: ReadonlyMap<string, string>, accessKeySecret: string): string {
  const text = `${method}&%2F&${encodeURIComponent(canonicalQuery(parameters))}`;
  return createHmac('sha1', `${accessKeySecret}&`).update(text).digest('base64');
}

/** Every parameter but the signature itself, sorted by name, encoded, joined. */
function canonicalQuery(parameters: ReadonlyMap<string, string>): string {
  let query = '';
  for (const name of [...parameters.keys()].toSorted()) {
    if (name === 'Signature') continue;
    query += `${query === '' ? '' : '&'}${encode(name)}=${encode(parameters.get(name) ?? '')}`;
  }
  return query;
}

const UNRESERVED = /^[\w\-.~]*$/;

/** RFC 3986: beyond `encodeURIComponent`, the marks `! ' ( ) *` are encoded too. */
function encode(text: string): string {
  if (UNRESERVED.test(text)) return text;
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
}

/**
 * A form body or a query string as parameters; undefined where an escape is broken. Of a name given twice the first counts,
 * which breaks the signature as it should.
 */
export function parseForm(text: string): Map<string, string> | undefined {
  const parameters = new Map<string, string>();
  let start = 0;
  while (start < text.length) {
    const and = text.indexOf('&', start);
    const end = and < 0 ? text.length : and;
    const equals = text.indexOf('=', start);
    const split = equals < 0 || equals > end ? end : equals;
    const name = decode(text.slice(start, split));
    const value = decode(text.slice(split + 1, end));
    if (name === undefined || value === undefined) return undefined;
    if (!parameters.has(name)) parameters.set(name, value);
    start = end + 1;
  }
  return parameters;
}

function decode(text: string): string | undefined {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    return undefined;
  }
}
