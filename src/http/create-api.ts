import { OpenAPIHono } from '@hono/zod-openapi';
import { getPath } from 'hono/utils/url';
import { describeRedisError } from '../runtime/redis/describe-error.ts';
import { VERSION } from '../runtime/version.ts';
import { identifying, Refusals } from './access.ts';
import type { Api, HttpEnv, Surroundings } from './api.ts';
import { addHealth } from './health.ts';
import { addPage } from './page/page.ts';
import { toldPerson } from './page/told.ts';
import { Problem } from './problem.ts';
import { addBatchReads } from './routes/batch-reads.ts';
import { addControls } from './routes/controls.ts';
import { addEvents } from './routes/events.ts';
import { addLetters } from './routes/letters.ts';
import { addRecordReads } from './routes/record-reads.ts';
import { addMetrics } from './routes/metrics.ts';
import { addPaces } from './routes/paces.ts';
import { addSessions } from './routes/sessions.ts';
import { addSingles } from './routes/singles.ts';
import { addSubmission } from './routes/submit.ts';
import { isDefect, problemOf } from './trouble.ts';

/** Everything that is answered, in the order in which it is looked for. */
export function createApi(surroundings: Surroundings): Api {
  const { store, log } = surroundings;
  const { basePath } = store.config.http;
  const api = new OpenAPIHono<HttpEnv>({ getPath: (request) => withoutBase(getPath(request), basePath) });
  const refusals = new Refusals(store);
  api.onError(async (error, asked) => {
    const problem = problemOf(error);
    if (isDefect(problem))
      log.error({ event: 'http-defect', path: asked.req.path, message: describeRedisError(error) });
    return (await toldPerson(asked, surroundings, problem)) ?? problem.toResponse();
  });
  addHealth(api, store);
  addSessions(api, surroundings, refusals);
  const identify = identifying(store, refusals);
  addPage(api, surroundings, identify);
  api.use(identify);
  addBatchReads(api, surroundings);
  addRecordReads(api, surroundings);
  addMetrics(api, surroundings);
  addSubmission(api, surroundings);
  addControls(api, surroundings);
  addPaces(api, surroundings);
  addLetters(api, surroundings);
  addSingles(api, surroundings);
  addEvents(api, surroundings);
  api.get('/openapi.json', (asked) => asked.json(documentOf(api, basePath)));
  api.notFound(async (asked) => {
    const problem = noRoute(asked.req.method, asked.req.path);
    return (await toldPerson(asked, surroundings, problem)) ?? problem.toResponse();
  });
  return api;
}

/** A proxy may hand the path on with its prefix, or without. */
function withoutBase(path: string, basePath: string): string {
  if (basePath === '' || (path !== basePath && !path.startsWith(`${basePath}/`))) return path;
  return path === basePath ? '/' : path.slice(basePath.length);
}

function documentOf(api: Api, basePath: string): object {
  const about = 'Revokes device certificates of ApsaraMQ for MQTT in bulk. Errors are problem+json with the next step.';
  const document = api.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'certsweep', version: VERSION, description: about },
    servers: [{ url: basePath === '' ? '/' : basePath }],
  });
  const schemes = {
    token: { type: 'http' as const, scheme: 'bearer' },
    session: { type: 'apiKey' as const, in: 'cookie' as const, name: 'certsweep_session' },
  };
  return { ...document, components: { ...document.components, securitySchemes: schemes } };
}

function noRoute(method: string, path: string): Problem {
  return new Problem({
    status: 404,
    code: 'no-route',
    title: 'There is no such route',
    detail: `Nothing is answered for ${method} ${path.slice(0, 200)}.`,
    next: 'GET /openapi.json lists all routes.',
  });
}
