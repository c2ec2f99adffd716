import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import type { Store } from '../app/store.ts';
import { DirectSubmitter } from '../app/submit-direct.ts';
import { isLoopback } from '../runtime/loopback.ts';
import type { Config } from '../runtime/config/config.ts';
import type { EventLog } from '../runtime/logger.ts';
import { LIMITS, type Limits } from './body.ts';
import { createApi } from './create-api.ts';
import { OPEN_PATHS } from './health.ts';
import { Problem } from './problem.ts';

export interface HttpServer {
  readonly port: number;
  /** Where it is reached from this host, with the base path. */
  readonly url: string;
  /** Ends it: what is under way has a moment to end. */
  close(): Promise<void>;
}

export interface ServerOptions {
  /** Stays open when the server is closed. */
  readonly store: Store;
  readonly log: EventLog;
  /** Of signed jobs. */
  readonly jobKey?: string;
  readonly limits?: Limits;
}

/** For the head of a request to come in whole. */
const HEAD_WITHIN_MS = 10_000;
const MAX_CONNECTIONS = 1_000;
const MAX_HEADER_BYTES = 16 * 1_024;
const CLOSE_WITHIN_MS = 3_000;

/** Nothing of other sites, nothing inline, in no frame of anyone. */
const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  // Not no-referrer: with it, a browser says of its own forms that they come from nowhere (Origin: null).
  'referrer-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-store',
};

/**
 * Answers over HTTP as the configuration says. It holds no state: any number may run side by side.
 * @throws the system's error where it cannot listen
 */
export async function openHttpServer({ store, log, jobKey, limits = LIMITS }: ServerOptions): Promise<HttpServer> {
  const { host, port, basePath } = store.config.http;
  const direct = new DirectSubmitter(store, jobKey);
  const api = createApi({ store, direct, log });
  const fetched = (request: Request, env: object): Response | Promise<Response> =>
    api.fetch(request, { ...env, limits });
  const listener = getRequestListener(fetched, { overrideGlobalObjects: false });
  const times = {
    headersTimeout: HEAD_WITHIN_MS,
    // Each route bounds its own body: a manifest may take a while.
    requestTimeout: 0,
    connectionsCheckingInterval: 1_000,
    keepAliveTimeout: HEAD_WITHIN_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
  };
  const server = createServer(times, (request, response) => {
    response.once('finish', () => endRest(request, limits.lingerMs));
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    const problem = strangeHost(request, store.config.http);
    if (problem === undefined) void listener(request, response);
    else problem.send(response);
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.timeout = limits.idleMs;
  server.on('clientError', (error, socket) => refuseUnreadable(error, socket, limits.lingerMs));
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  const bound = typeof address === 'object' && address !== null ? address.port : port;
  const shown = host.includes(':') ? `[${host}]` : host;
  return {
    port: bound,
    url: `http://${shown}:${bound}${basePath}/`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeIdleConnections();
      const late = setTimeout(() => server.closeAllConnections(), CLOSE_WITHIN_MS);
      await closed;
      clearTimeout(late);
      await direct.close();
    },
  };
}

/** The body of a request that was answered without it, like that of a GET, could else trickle in for ever and keep the connection. */
function endRest(request: IncomingMessage, lingerMs: number): void {
  if (request.complete) return;
  const { socket } = request;
  const late = setTimeout(() => {
    if (!request.complete) socket.destroy();
  }, lingerMs);
  socket.once('close', () => clearTimeout(late));
}

/** A page of another site whose name was pointed here would be taken for ours by its reader's browser, but for this. */
function strangeHost({ headers, url = '' }: IncomingMessage, http: Config['http']): Problem | undefined {
  const { publicUrl, basePath, tokens } = http;
  // A supervisor asks by address.
  if (OPEN_PATHS.includes(url)) return undefined;
  // So does a collector, with a token, which no page of another site has.
  const isMetrics = url === '/metrics' || url === `${basePath}/metrics`;
  if (isMetrics && tokens.length > 0 && headers.authorization !== undefined) return undefined;
  const host = hostnameOf(headers.host ?? '');
  if (host !== undefined && isLoopback(host)) return undefined;
  if (publicUrl !== undefined && host === new URL(publicUrl).hostname) return undefined;
  return new Problem({
    status: 421,
    code: 'strange-host',
    title: 'Not the host of this service',
    detail: `It does not answer as ${JSON.stringify((headers.host ?? '').slice(0, 100))}.`,
    next: 'Ask for it by the name in http.publicUrl, or as localhost. If the name is right, set http.publicUrl.',
  });
}

function hostnameOf(host: string): string | undefined {
  return /[\s/@?#\\]/.test(host) || !URL.canParse(`http://${host}`) ? undefined : new URL(`http://${host}`).hostname;
}

/** What is no HTTP, or has headers without end, never reaches a route. */
function refuseUnreadable(error: NodeJS.ErrnoException, socket: Duplex, lingerMs: number): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request';
  const title = error.code === 'HPE_HEADER_OVERFLOW' ? 'The headers are too large' : 'The request is not understood';
  const detail = 'What arrived is not a complete HTTP/1.1 request, or is too large.';
  const next = 'Send it again, whole and with fewer headers.';
  const document = {
    type: 'urn:certsweep:problem:bad-request',
    title,
    status: Number.parseInt(status, 10),
    detail,
    next,
  };
  const body = JSON.stringify(document);
  const head = `HTTP/1.1 ${status}\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n`;
  socket.end(head + body);
  // Closed at once, with bytes on the way, the connection would be reset, and the answer lost.
  socket.removeAllListeners('data').on('data', () => undefined);
  const late = setTimeout(() => socket.destroy(), lingerMs);
  socket.once('close', () => clearTimeout(late));
}
