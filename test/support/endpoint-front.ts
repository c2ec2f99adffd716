import { once } from 'node:events';
import { Agent, createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** How an endpoint is out, or that it is not. */
export type FrontState = 'open' | 'refuses' | 'hangs' | 'html' | 'unavailable';

/** Stands before the sandbox, and takes it off the net for everyone who comes this way: reads and deletions alike. */
export interface EndpointFront {
  readonly url: string;
  /** Calls that came while it was out and listened. */
  readonly turnedAway: readonly string[];
  become(state: FrontState): Promise<void>;
  close(): Promise<void>;
}

/** Makes another answer to a call of its own: parameters of the URL, and the body that the sandbox gave. */
export type ChangeAnswer = (call: URLSearchParams, body: string) => string;

/**
 * @param behind - the sandbox' URL
 * @param change - of each answer while it is open
 */
export async function startEndpointFront(behind: string, change?: ChangeAnswer): Promise<EndpointFront> {
  const turnedAway: string[] = [];
  const onwards = new Agent({ keepAlive: true });
  let state: FrontState = 'open';
  let port = 0;
  let server: Server | undefined;

  const listen = async (): Promise<void> => {
    server = createServer((incoming, outgoing) => answer(incoming, outgoing));
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
  };
  const end = async (): Promise<void> => {
    if (server === undefined) return;
    const ended = once(server, 'close');
    server.close();
    server.closeAllConnections();
    server = undefined;
    await ended;
  };
  function answer(incoming: IncomingMessage, outgoing: ServerResponse): void {
    if (state === 'open') return pass(incoming, outgoing);
    turnedAway.push(incoming.method ?? '');
    incoming.resume();
    if (state === 'html') outgoing.writeHead(502, { 'content-type': 'text/html' }).end('<html>Bad Gateway</html>');
    if (state === 'unavailable') {
      const body = { RequestId: 'R', HostId: 'onsmqtt', Code: 'ServiceUnavailable', Message: 'The service is down.' };
      outgoing.writeHead(503, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    }
  }
  function pass(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { method, headers, url } = incoming;
    const to = new URL(url ?? '/', behind);
    const onward = request(to, { method, headers, agent: onwards }, (reply) => {
      if (change !== undefined) return void passChanged(reply, outgoing, (body) => change(to.searchParams, body));
      outgoing.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  }

  async function passChanged(
    reply: IncomingMessage,
    outgoing: ServerResponse,
    changed: (body: string) => string,
  ): Promise<void> {
    const body = changed(await text(reply));
    const headers = { ...reply.headers, 'content-length': Buffer.byteLength(body) };
    outgoing.writeHead(reply.statusCode ?? 502, headers).end(body);
  }

  await listen();
  return {
    url: `http://127.0.0.1:${port}`,
    turnedAway,
    async become(next) {
      state = next;
      if (next === 'refuses') await end();
      else if (server === undefined) await listen();
      // What hangs ends with the outage, as it does where a machine comes back.
      else if (next === 'open') server.closeAllConnections();
    },
    async close() {
      await end();
      onwards.destroy();
    },
  };
}
