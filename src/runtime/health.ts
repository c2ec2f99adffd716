import { createServer, type ServerResponse } from 'node:http';
import { once } from 'node:events';

/** What a supervisor asks a worker. */
export interface HealthQuestions {
  /** Whether the process is worth keeping; false has it restarted. */
  isLive(): boolean;
  /** Why it cannot work at this moment; undefined when it can. */
  notReadyBecause(): Promise<string | undefined>;
  /** Prometheus' text form. */
  metrics(): string;
}

export interface HealthPort {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Answers `/livez`, `/readyz` and `/metrics` over HTTP.
 * @param port - 0 takes a free one
 * @throws the system's error when the port is taken
 */
export async function openHealthPort(port: number, questions: HealthQuestions): Promise<HealthPort> {
  const server = createServer((request, response) => {
    void respond(request.url ?? '', response);
  });

  async function respond(path: string, response: ServerResponse): Promise<void> {
    const [status, body] = await answer(path);
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(body);
  }

  async function answer(path: string): Promise<[status: number, body: string]> {
    switch (path) {
      case '/livez':
        return questions.isLive() ? [200, 'ok\n'] : [503, 'the worker has fallen silent\n'];
      case '/readyz': {
        const reason = await questions.notReadyBecause().catch((error: Error) => error.message);
        return reason === undefined ? [200, 'ok\n'] : [503, `${reason}\n`];
      }
      case '/metrics':
        return [200, questions.metrics()];
      default:
        return [404, 'ask for /livez, /readyz or /metrics\n'];
    }
  }

  server.listen(port);
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
