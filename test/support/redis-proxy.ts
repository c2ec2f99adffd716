import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** Stands between Redis and its clients, and makes the network bad. */
export interface RedisProxy {
  readonly port: number;
  /** Each piece of an answer comes so much later. */
  delayMs: number;
  /** Cuts every connection; new ones are accepted. */
  cut(): void;
  /** New connections are closed at once, and every one there is cut. */
  down: boolean;
  /** Takes what is sent and passes nothing on, in either direction: a network that swallows. */
  swallow: boolean;
  close(): Promise<void>;
}

/** @param path - the server's Unix socket */
export async function startRedisProxy(path: string): Promise<RedisProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    if (proxy.down) {
      client.destroy();
      return;
    }
    const upstream = connect(path);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('data', (bytes: Buffer) => {
      if (!proxy.swallow) upstream.write(bytes);
    });
    upstream.on('data', (bytes: Buffer) => {
      if (proxy.swallow) return;
      // Timers of one length fire in the order in which they were set, so the stream keeps its order.
      if (proxy.delayMs > 0) setTimeout(() => client.write(bytes), proxy.delayMs);
      else client.write(bytes);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  let isDown = false;
  const proxy: RedisProxy = {
    port: (server.address() as AddressInfo).port,
    delayMs: 0,
    swallow: false,
    get down() {
      return isDown;
    },
    set down(value) {
      isDown = value;
      if (value) proxy.cut();
    },
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async close() {
      proxy.cut();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}
