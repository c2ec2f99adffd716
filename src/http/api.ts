import type { HttpBindings } from '@hono/node-server';
import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Identity } from '../app/identity.ts';
import type { Store } from '../app/store.ts';
import type { DirectSubmitter } from '../app/submit-direct.ts';
import type { Right } from '../core/role.ts';
import type { EventLog } from '../runtime/logger.ts';
import { readText, type Limits } from './body.ts';
import { badRequest } from './problem.ts';
import { requireRight } from './rights.ts';

/** What a request carries on its way. */
export interface HttpEnv {
  readonly Bindings: HttpBindings & { readonly limits: Limits };
  Variables: {
    /** Who asks. */
    who: Identity;
    /** The id of the session it came with; absent for a token. */
    session?: string;
  };
}

export type Api = OpenAPIHono<HttpEnv>;
export type Asked = Context<HttpEnv>;

/** What the routes work on. */
export interface Surroundings {
  readonly store: Store;
  readonly direct: DirectSubmitter;
  readonly log: EventLog;
}

/** A route: what it takes, what it answers, and who may. The document is made of the same schemas that validate. */
export interface RouteOf<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType> {
  readonly method: 'get' | 'post' | 'put';
  /** As OpenAPI writes it, like `/v1/batches/{id}`. */
  readonly path: string;
  readonly right: Right;
  readonly summary: string;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  /** For the document: what the handler reads of the head itself. */
  readonly headers?: z.ZodObject;
  /** Of a body that the handler reads itself. */
  readonly streams?: readonly string[];
  /** By status: what it says, and its JSON or other content. */
  readonly answers: Readonly<Record<number, Answer>>;
}

export interface Answer {
  readonly description: string;
  readonly schema?: z.ZodType;
  /** Where it is not JSON; none where there is no body. */
  readonly types?: readonly string[];
}

export interface Input<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType> {
  readonly params: z.infer<P>;
  readonly query: z.infer<Q>;
  readonly body: z.infer<B>;
}

/** What a handler answers: JSON, or a response of its own. */
export type Reply =
  | { readonly status: 200 | 202; readonly body: unknown; readonly headers?: Readonly<Record<string, string>> }
  | Response;

export const problemSchema = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    next: z.string().describe('What to do now.'),
  })
  .openapi('Problem');

/** Serves the route, and writes it into the document. */
export function addRoute<
  P extends z.ZodObject = z.ZodObject<{}>,
  Q extends z.ZodObject = z.ZodObject<{}>,
  B extends z.ZodType = z.ZodUndefined,
>(api: Api, route: RouteOf<P, Q, B>, handle: (asked: Asked, input: Input<P, Q, B>) => Promise<Reply>): void {
  api.openAPIRegistry.registerPath(documented(route));
  const path = route.path.replaceAll(/\{(\w+)\}/g, ':$1');
  api.on(route.method, path, async (asked) => {
    requireRight(asked.get('who'), route.right);
    const reply = await handle(asked, {
      params: checked('path', route.params, asked.req.param()) as z.infer<P>,
      query: checked('query', route.query, onceEach(asked)) as z.infer<Q>,
      body: (route.body === undefined ? undefined : checked('body', route.body, await jsonOf(asked))) as z.infer<B>,
    });
    if (reply instanceof Response) return reply;
    return asked.json(reply.body as object, reply.status, { ...reply.headers });
  });
}

function checked(part: string, schema: z.ZodType | undefined, given: unknown): unknown {
  if (schema === undefined) return {};
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const at = issue === undefined || issue.path.length === 0 ? part : `${issue.path.map(String).join('.')} (${part})`;
  const unknown =
    issue?.code === 'unrecognized_keys' ? ` ${issue.keys.map((key) => JSON.stringify(key)).join(', ')}` : '';
  throw badRequest(
    `${at}${unknown}: ${issue?.message ?? 'not valid'}. Nothing was touched.`,
    'GET /openapi.json says what each route takes.',
  );
}

/** Which of two values would be meant? */
function onceEach(asked: Asked): Record<string, string> {
  const found = Object.entries(asked.req.queries());
  const twice = found.find(([, values]) => values.length > 1);
  if (twice !== undefined) throw badRequest(`${JSON.stringify(twice[0])} is in the query twice.`, 'Send it once.');
  return Object.fromEntries(found.map(([name, [value = '']]) => [name, value]));
}

async function jsonOf({ env: { incoming, limits }, req }: Asked): Promise<unknown> {
  const text = await readText(incoming, limits.small);
  if (text === '') return {};
  const type = (req.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/json') {
    throw badRequest('The content type is not JSON.', 'Send it with the content type application/json.');
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw badRequest('The body is not valid JSON.', 'Correct it. Nothing was touched.');
  }
}

function documented<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType>({
  method,
  path,
  right,
  summary,
  params,
  query,
  body,
  headers,
  streams = [],
  answers,
}: RouteOf<P, Q, B>): ReturnType<typeof createRoute> {
  const streamed = Object.fromEntries(streams.map((type) => [type, { schema: z.string() }]));
  const content = body === undefined ? streamed : { 'application/json': { schema: body } };
  const isNeeded = streams.length > 0 || body?.safeParse({}).success === false;
  const problem = { 'application/problem+json': { schema: problemSchema } };
  return createRoute({
    method,
    path,
    summary,
    description: `Needs the right to ${right}.`,
    security: [{ token: [] }, { session: [] }],
    request: {
      ...(params !== undefined && { params }),
      ...(query !== undefined && { query }),
      ...(headers !== undefined && { headers }),
      ...(Object.keys(content).length > 0 && { body: { content, required: isNeeded } }),
    },
    responses: {
      ...Object.fromEntries(Object.entries(answers).map(([status, answer]) => [status, responseOf(answer)])),
      default: { description: 'What went wrong, and what to do next.', content: problem },
    },
  });
}

function responseOf({ description, schema = z.string(), types = ['application/json'] }: Answer): {
  description: string;
  content?: Record<string, { schema: z.ZodType }>;
} {
  if (types.length === 0) return { description };
  return { description, content: Object.fromEntries(types.map((type) => [type, { schema }])) };
}
