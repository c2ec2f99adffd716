import { once } from 'node:events';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { createServer } from 'node:tls';
import { LOOPBACK_CERTIFICATE, LOOPBACK_KEY } from '../sandbox/loopback-certificate.ts';

/** A proxy with TLS before a server without; its certificate is for loopback, and nobody trusts it by itself. */
export interface TlsFront {
  readonly port: number;
  /** Connections whose handshake was completed. */
  readonly entered: () => number;
  close(): Promise<void>;
}

export async function startTlsFront(port: number): Promise<TlsFront> {
  const sockets = new Set<Socket>();
  let entered = 0;
  const server = createServer({ key: LOOPBACK_KEY, cert: LOOPBACK_CERTIFICATE }, (client) => {
    entered += 1;
    const upstream = connect(port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
    client.pipe(upstream).pipe(client);
  });
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    entered: () => entered,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
