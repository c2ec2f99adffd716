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
  /** What is sent with this text arrives, and its reply never does: the connection is cut, and the proxy may be told to do more. */
  loseReply: { readonly to: string; readonly andThen?: () => void } | undefined;
  /** What is sent from this text on never arrives. Once all before it has, the proxy may be told to do more. */
  stopBefore: { readonly text: string; readonly andThen: () => void } | undefined;
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
    let lost: RedisProxy['loseReply'];
    let isStopped = false;
    client.on('data', (bytes: Buffer) => {
      if (proxy.loseReply !== undefined && bytes.includes(proxy.loseReply.to)) {
        lost = proxy.loseReply;
        proxy.loseReply = undefined;
      }
      if (proxy.swallow || isStopped) return;
      const { text, andThen } = proxy.stopBefore ?? {};
      const at = text === undefined ? -1 : bytes.indexOf(text);
      if (at < 0) return void upstream.write(bytes);
      isStopped = true;
      proxy.stopBefore = undefined;
      upstream.write(bytes.subarray(0, at), andThen);
    });
    const late: Buffer[] = [];
    upstream.on('data', (bytes: Buffer) => {
      if (proxy.swallow) return;
      if (lost !== undefined) {
        client.destroy();
        lost.andThen?.();
        return;
      }
      if (proxy.delayMs === 0 && late.length === 0) return void client.write(bytes);
      // One by one from the front, whichever timer fires: also where the delay has changed, the stream keeps its order.
      late.push(bytes);
      setTimeout(() => client.write(late.shift() ?? ''), proxy.delayMs);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  let isDown = false;
  const proxy: RedisProxy = {
    port: (server.address() as AddressInfo).port,
    delayMs: 0,
    swallow: false,
    loseReply: undefined,
    stopBefore: undefined,
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
