import { get as getHttp, type IncomingMessage } from 'node:http';
import { get as getHttps } from 'node:https';

/**
 * The endpoint's URL, checked.
 * @throws Error that names the value and what to write
 */
export function endpointOf(text: string): URL {
  const wrong = (why: string): Error =>
    new Error(`endpoint "${withoutQuery(text)}" ${why}, write it as https://onsmqtt.<region>.aliyuncs.com`);
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw wrong('is no URL');
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw wrong(`begins with ${url.protocol}//`);
  if (url.username !== '' || url.password !== '') throw wrong('names a user');
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') throw wrong('goes on after the host');
  return url;
}

/** What a person pasted may be a whole signed request. */
const withoutQuery = (text: string): string =>
  text
    .replace(/\?.*$/s, '?...')
    .replace(/\/\/.*@/, '//...@')
    .slice(0, 100);

/** How far this host's clock is from the endpoint's. */
export type ClockSkew =
  | {
      readonly ok: true;
      /** Milliseconds this host is ahead; negative where it is behind. */
      readonly skewMs: number;
      /** How far `skewMs` may be off, milliseconds: the header has whole seconds, and the answer was on its way. */
      readonly uncertaintyMs: number;
    }
  | { readonly ok: false; readonly message: string };

/**
 * Compares this host's clock with the `Date` header of one unsigned GET. The API refuses calls more than 15 minutes off.
 * Counts as one call of this address' quota. Faults of the network are answered, not thrown.
 * @throws Error when the endpoint is no URL of a bare host
 */
export async function endpointClockSkewMs(
  endpoint: string,
  options: { readonly deadlineMs: number; readonly localAddress?: string },
): Promise<ClockSkew> {
  const url = endpointOf(endpoint);
  const { deadlineMs, ...address } = options;
  const startMs = Date.now();
  try {
    const date = await dateHeader(url, { ...address, signal: AbortSignal.timeout(deadlineMs) });
    const endMs = Date.now();
    const theirMs = Date.parse(date ?? '');
    if (Number.isNaN(theirMs)) return { ok: false, message: `${url.origin} answered without a Date header` };
    // The header is cut to the second, so the true time is half a second later on average.
    const skewMs = Math.round((startMs + endMs) / 2 - (theirMs + 500));
    return { ok: true, skewMs, uncertaintyMs: 500 + Math.ceil((endMs - startMs) / 2) };
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError')
      return { ok: false, message: `${url.origin} did not answer within ${deadlineMs} ms` };
    const why = error instanceof Error && error.message !== '' ? error.message : String(error);
    return { ok: false, message: `${url.origin} could not be asked for its time: ${why}` };
  }
}

function dateHeader(
  url: URL,
  options: { readonly localAddress?: string; readonly signal: AbortSignal },
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    // Without an agent: the connection is for this one question.
    const once = { ...options, agent: false as const };
    const hear = (response: IncomingMessage): void => {
      resolve(response.headers.date);
      response.destroy();
    };
    const request =
      url.protocol === 'https:' ? getHttps(url, { ...once, rejectUnauthorized: true }, hear) : getHttp(url, once, hear);
    request.once('error', reject);
  });
}
