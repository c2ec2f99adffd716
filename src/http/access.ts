import { getCookie } from 'hono/cookie';
import type { MiddlewareHandler } from 'hono';
import { ANYBODY, identify, recordRefusal, type Identity } from '../app/identity.ts';
import { ownerOfSession } from '../app/sessions.ts';
import type { Store } from '../app/store.ts';
import type { Config } from '../runtime/config/config.ts';
import type { Asked, HttpEnv } from './api.ts';
import { forbidden } from './rights.ts';
import { Problem } from './problem.ts';

/** Holds the id of a session of the page. */
export const SESSION_COOKIE = 'certsweep_session';

/** What is asked with these changes nothing. */
const SAFE = ['GET', 'HEAD', 'OPTIONS'];
/** Tries with a wrong token that are judged, and put on record, in a minute; those behind them are only counted. */
const REFUSALS_PER_MINUTE = 20;
const MINUTE_MS = 60_000;

/** Turns wrong tokens away, so that neither the audit record nor the processor is theirs. One for each process. */
export class Refusals {
  readonly #store: Store;
  #sinceMs = Number.NEGATIVE_INFINITY;
  #count = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Puts it on record and makes the answer: 401, or 429 where there were too many. A correct token gets neither. */
  async refuse(asked: Asked, why: string): Promise<Problem> {
    const nowMs = performance.now();
    if (nowMs - this.#sinceMs > MINUTE_MS) [this.#sinceMs, this.#count] = [nowMs, 0];
    this.#count += 1;
    if (this.#count > REFUSALS_PER_MINUTE) return tooMany();
    const { method, path } = asked.req;
    const from = asked.env.incoming.socket.remoteAddress ?? 'nowhere';
    const last = this.#count === REFUSALS_PER_MINUTE ? '; further ones of this minute are not on record' : '';
    // Without Redis there is no record, and it is refused anyway.
    await recordRefusal(this.#store, `${why} from ${from} for ${method} ${path}${last}`).catch(() => undefined);
    return unauthorized();
  }
}

/** Finds out who asks. @throws Problem (by the returned handler) if the caller may not */
export function identifying(store: Store, refusals: Refusals): MiddlewareHandler<HttpEnv> {
  return async (asked, next) => {
    const found = await identityOf(asked, store, refusals);
    asked.set('who', found.who);
    if (found.session !== undefined) asked.set('session', found.session);
    const isChange = !SAFE.includes(asked.req.method);
    if (isChange) refuseOtherSites(asked, store.config, found.session !== undefined);
    await next();
  };
}

async function identityOf(
  asked: Asked,
  store: Store,
  refusals: Refusals,
): Promise<{ readonly who: Identity; readonly session?: string }> {
  const { tokens } = store.config.http;
  if (tokens.length === 0) return { who: ANYBODY };
  const header = asked.req.header('authorization');
  if (header !== undefined) {
    const token = /^Bearer +(\S+) *$/i.exec(header)?.[1] ?? '';
    const who = identify(tokens, token);
    if (who === undefined) throw await refusals.refuse(asked, 'wrong token');
    return { who };
  }
  const session = getCookie(asked, SESSION_COOKIE);
  if (session === undefined) throw unauthorized();
  const who = await ownerOfSession(store, session);
  // An old session is nobody's attack.
  if (who === undefined) throw unauthorized();
  return { who, session };
}

/**
 * A page of another site could have a browser send a change, and the browser adds the cookie where it takes the site for ours.
 * @param byCookie - a browser says where such a request comes from; one that does not say it is refused
 */
export function refuseOtherSites(asked: Asked, { http }: Pick<Config, 'http'>, byCookie: boolean): void {
  const site = asked.req.header('sec-fetch-site');
  const origin = asked.req.header('origin');
  const isOwnSite = site === undefined || site === 'same-origin' || site === 'none';
  const isOwnOrigin = origin === undefined || originsOf(asked, http).includes(origin);
  const isSaid = site !== undefined || origin !== undefined;
  if (isOwnSite && isOwnOrigin && (isSaid || !byCookie)) return;
  throw forbidden(
    'A page of another site has sent this, or a browser that does not say from where.',
    'Use the page of this service, or send a token in place of the cookie.',
  );
}

function originsOf(asked: Asked, { publicUrl }: Config['http']): readonly string[] {
  const host = asked.req.header('host') ?? '';
  const own = publicUrl === undefined ? [] : [new URL(publicUrl).origin];
  return [`http://${host}`, `https://${host}`, ...own];
}

function unauthorized(): Problem {
  return new Problem({
    status: 401,
    code: 'unauthorized',
    title: 'Who are you?',
    detail: 'The request has no token, or an unknown one.',
    next: 'Send Authorization: Bearer <token>, or log in on the page. certsweep token makes a token.',
    headers: { 'www-authenticate': 'Bearer realm="certsweep"' },
  });
}

function tooMany(): Problem {
  return new Problem({
    status: 429,
    code: 'too-many-refusals',
    title: 'Too many wrong tokens',
    detail: 'Too many requests with wrong tokens came within a minute.',
    next: 'Correct the token, and try again in a minute. Requests with a correct one are still served.',
    headers: { 'retry-after': '60' },
  });
}
