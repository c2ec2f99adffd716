import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import { identify } from '../../app/identity.ts';
import { endSession, openSession, SESSION_MS } from '../../app/sessions.ts';
import { isLoopback } from '../../runtime/loopback.ts';
import { refuseOtherSites, SESSION_COOKIE, type Refusals } from '../access.ts';
import type { Api, Asked, Surroundings } from '../api.ts';
import { readText } from '../body.ts';

/** The way in and out for a browser: a token once, then a cookie. */
export function addSessions(api: Api, { store }: Surroundings, refusals: Refusals): void {
  const { http } = store.config;
  const home = `${http.basePath}/`;
  api.post('/login', async (asked) => {
    refuseOtherSites(asked, store.config, false);
    const form = new URLSearchParams(await readText(asked.env.incoming, asked.env.limits.small));
    const who = identify(http.tokens, (form.get('token') ?? '').trim());
    if (who?.sha256 === undefined) throw await refusals.refuse(asked, 'wrong token');
    const id = await openSession(store, { sha256: who.sha256 });
    setCookie(asked, SESSION_COOKIE, id, {
      path: home,
      httpOnly: true,
      sameSite: 'Strict',
      secure: !isLoopback(new URL(`http://${asked.req.header('host') ?? ''}`).hostname),
      maxAge: SESSION_MS / 1_000,
    });
    return asked.redirect(home, 303);
  });
  api.post('/logout', async (asked) => {
    refuseOtherSites(asked, store.config, true);
    await endSession(store, sessionOf(asked));
    deleteCookie(asked, SESSION_COOKIE, { path: home });
    return asked.redirect(`${http.basePath}/login`, 303);
  });
}

function sessionOf(asked: Asked): string {
  return getCookie(asked, SESSION_COOKIE) ?? '';
}
