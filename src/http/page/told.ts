import type { Asked, Surroundings } from '../api.ts';
import type { Problem, ProblemDocument } from '../problem.ts';
import { markup, type Markup } from './markup.ts';
import { frameOf, pageOf, type Content, type Frame } from './shell.ts';

/** Nobody is logged in. @param problem - of the last try */
export function loginPage(basePath: string, problem?: ProblemDocument): Markup {
  const body = markup`<section class="login panel stack" aria-labelledby="login-head">
<h1 id="login-head">Log in</h1>
${problem !== undefined && markup`<p class="banner halted" role="alert"><span><b>${problem.title}</b> ${problem.status === 401 ? 'This token is unknown.' : `${problem.detail} ${problem.next}`}</span></p>`}
<form method="post" action="${basePath}/login">
<label>Token<input type="password" name="token" autocomplete="current-password" required maxlength="200" spellcheck="false"></label>
<button class="primary">Log in</button>
</form>
<p class="faint">certsweep token makes one. A session lasts 12 hours, and ends at once when its token is removed.</p>
</section>`;
  return pageOf({ basePath, needsReason: false }, { title: 'Log in', body });
}

/** What went wrong, for people. */
function problemPage(frame: Frame, { title, detail, next, status }: ProblemDocument): Markup {
  const content: Content = {
    title,
    body: markup`<section class="told panel stack"><p class="faint">${status}</p><h1>${title}</h1><p>${detail}</p><p>${next}</p><p class="more"><a href="${frame.basePath}/">Back to the overview</a></p></section>`,
  };
  return pageOf(frame, content);
}

/** What a person is shown who asked for a page, or sent the form for logging in. Undefined where a program asked. */
export async function toldPerson(
  asked: Asked,
  surroundings: Surroundings,
  problem: Problem,
): Promise<Response | undefined> {
  if (!(asked.req.header('accept') ?? '').includes('text/html')) return undefined;
  const { basePath } = surroundings.store.config.http;
  const { document, status, headers } = problem;
  if (asked.req.path === '/login') return answer(loginPage(basePath, document), status);
  if (status === 401) return asked.redirect(`${basePath}/login`, 303);
  const isKnown = (asked.get('who') as unknown) !== undefined;
  // Without Redis there is no frame, but there is something to say.
  const bare = { basePath, needsReason: false };
  const frame = isKnown ? await frameOf(asked, surroundings).catch(() => bare) : bare;
  return answer(problemPage(frame, document), status, headers);
}

export function answer(page: Markup, status: number, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(page.toString(), { status, headers: { 'content-type': 'text/html; charset=utf-8', ...headers } });
}
