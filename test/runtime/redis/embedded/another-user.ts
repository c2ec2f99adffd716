import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/** Uid and gid of "nobody", who owns nothing of ours. */
export const NOBODY = 65_534;

export const isRoot = process.getuid?.() === 0;

/** Something that another program listens with, and all that it was sent. */
export interface Listener {
  readonly heard: () => string;
  close(): Promise<void>;
}

/** Listens on a socket as this user, answering nothing. */
export async function listenAt(path: string): Promise<Listener> {
  let heard = '';
  const server: Server = createServer((socket) => {
    socket.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1')));
    socket.on('error', () => undefined);
  }).listen(path);
  await once(server, 'listening');
  return {
    heard: () => heard,
    async close() {
      server.close();
      await once(server, 'close');
    },
  };
}
