import { createServer, type ServerResponse } from 'node:http';
import { once } from 'node:events';

/** What a supervisor asks a worker. */
export interface HealthQuestions {
  /** Whether the process is worth keeping; false has it restarted. */
  isLive(): boolean;
  /** Why it cannot work at this moment; undefined when it can. */
  notReadyBecause(): Promise<string | undefined>;
  /** Prometheus' text form. */
  metrics(): Promise<string>;
}

export interface HealthPort {
  readonly port: number;
  close(): Promise<void>;
}

const TEXT = 'text/plain; charset=utf-8';
/** The content type of Prometheus' text form. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
/** How long an answer about readiness is kept: it asks Redis, and anyone who reaches the port could ask without end. */
const READINESS_LIFE_MS = 1_000;
type Answered = readonly [status: number, body: string];
/** More than any supervisor and collector need. */
const MAX_CONNECTIONS = 32;
/** For a request to come in whole. */
const REQUEST_WITHIN_MS = 5_000;

/**
 * Answers `/livez`, `/readyz` and `/metrics` over HTTP.
 * @param host - the address to listen on
 * @param port - 0 takes a free one
 * @throws the system's error when the port is taken
 */
export async function openHealthPort(host: string, port: number, questions: HealthQuestions): Promise<HealthPort> {
  const limits = {
    headersTimeout: REQUEST_WITHIN_MS,
    requestTimeout: REQUEST_WITHIN_MS,
    connectionsCheckingInterval: 1_000,
    keepAliveTimeout: REQUEST_WITHIN_MS,
  };
  const server = createServer(limits, (request, response) => {
    void respond(request.url ?? '', response);
  });
  server.maxConnections = MAX_CONNECTIONS;
  let readiness: { readonly reason: Promise<string | undefined>; readonly untilMs: number } | undefined;

  function notReadyBecause(): Promise<string | undefined> {
    const nowMs = performance.now();
    if (readiness === undefined || nowMs >= readiness.untilMs) {
      const reason = questions.notReadyBecause().catch((error: Error) => error.message);
      readiness = { reason, untilMs: nowMs + READINESS_LIFE_MS };
    }
    return readiness.reason;
  }

  async function respond(path: string, response: ServerResponse): Promise<void> {
    const [status, body] = await answer(path).catch((error: Error): Answered => [500, `${error.message}\n`]);
    response.writeHead(status, { 'content-type': path === '/metrics' ? METRICS_TYPE : TEXT }).end(body);
  }

  async function answer(path: string): Promise<Answered> {
    switch (path) {
      case '/livez':
        return questions.isLive() ? [200, 'ok\n'] : [503, 'the worker has stopped taking jobs\n'];
      case '/readyz': {
        const reason = await notReadyBecause();
        return reason === undefined ? [200, 'ok\n'] : [503, `${reason}\n`];
      }
      case '/metrics':
        return [200, await questions.metrics()];
      default:
        return [404, 'ask for /livez, /readyz or /metrics\n'];
    }
  }

  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close').catch(() => undefined);
    },
  };
}
