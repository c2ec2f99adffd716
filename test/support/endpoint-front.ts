import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

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

/** @param behind - the sandbox' URL */
export async function startEndpointFront(behind: string): Promise<EndpointFront> {
  const turnedAway: string[] = [];
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
    const onward = request(new URL(url ?? '/', behind), { method, headers, agent: false }, (reply) => {
      outgoing.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
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
    close: end,
  };
}
