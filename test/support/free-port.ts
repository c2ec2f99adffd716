import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/** Below the ports that systems give to connections (Linux from 32768): one of those may be taken before the program that gets it listens. */
const [FIRST, COUNT] = [10_000, 12_000];

/**
 * A port on 127.0.0.1 that nobody listens on, for a program that cannot choose one itself.
 * @param also - how far above it another port must be free as well, at most 10,000
 */
export async function freePort(also?: number): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    const ports = also === undefined ? [port] : [port, port + also];
    const servers = await Promise.all(ports.map(listen));
    await Promise.all(servers.map(close));
    if (!servers.includes(undefined)) return port;
  }
}

/** Undefined where the port is taken. */
async function listen(port: number): Promise<Server | undefined> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
    return server;
  } catch {
    return undefined;
  }
}

async function close(server: Server | undefined): Promise<void> {
  if (server === undefined) return;
  server.close();
  await once(server, 'close');
}
