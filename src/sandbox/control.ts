import type { Endpoint } from './endpoint.ts';
import { parseFaultPlan } from './fault-plan.ts';

export const CONTROL_PREFIX = '/-/';

export interface ControlRequest {
  readonly method: string;
  readonly path: string;
  /** Empty where there is none. */
  readonly contentType: string;
  readonly body: string;
}

export interface ControlAnswer {
  readonly status: number;
  readonly body: unknown;
}

/**
 * The control paths for an operator, for a sandbox in a process of its own. Bodies are JSON, and say so: what a web page can have a browser send without
 * asking has another content type.
 * `GET /-/seen` the report, `POST /-/plan` a fault plan, `POST /-/keys/revoke` `{"accessKeyId", "code"}`,
 * `POST /-/keys/restore` `{"accessKeyId"}`.
 */
export function answerControl(endpoint: Endpoint, { method, path, contentType, body }: ControlRequest): ControlAnswer {
  if (method === 'POST' && !/^application\/json\s*(;|$)/i.test(contentType)) {
    return { status: 415, body: { error: 'send JSON, with the header content-type: application/json' } };
  }
  switch (`${method} ${path}`) {
    case 'GET /-/seen':
      return { status: 200, body: endpoint.seen() };
    case 'POST /-/plan': {
      const parsed = parseFaultPlan(parseJson(body));
      if (!parsed.ok) return wrong(parsed.message);
      endpoint.setPlan(parsed.plan);
      return done;
    }
    case 'POST /-/keys/revoke': {
      const accessKeyId = fieldOf(body, 'accessKeyId');
      const code = fieldOf(body, 'code');
      if (code === undefined) return wrong('code: missing, give the code to refuse with, such as Forbidden.RAM');
      return changeKey(accessKeyId, (known) => endpoint.accounts.revoke(known, code));
    }
    case 'POST /-/keys/restore':
      return changeKey(fieldOf(body, 'accessKeyId'), (known) => endpoint.accounts.restore(known));
    default:
      return {
        status: 404,
        body: {
          error: `${method} ${path}: no such control, use GET /-/seen or POST /-/plan, /-/keys/revoke, /-/keys/restore`,
        },
      };
  }
}

const done: ControlAnswer = { status: 200, body: { ok: true } };
const wrong = (error: string): ControlAnswer => ({ status: 400, body: { error } });

function changeKey(accessKeyId: string | undefined, change: (accessKeyId: string) => void): ControlAnswer {
  if (accessKeyId === undefined) return wrong('accessKeyId: missing, name the key');
  try {
    change(accessKeyId);
    return done;
  } catch (error) {
    return wrong(error instanceof Error ? error.message : String(error));
  }
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function fieldOf(body: string, name: string): string | undefined {
  const parsed = parseJson(body);
  if (typeof parsed !== 'object' || parsed === null) return undefined;
  const value: unknown = Reflect.get(parsed, name);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/**
 * Whether a request names this machine as its host. A web page whose name was made to lead here has that name, and would else be of the same origin.
 */
export function namesThisMachine(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i.test(host);
}

/** Whether an address is this machine's own. */
export function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}
