import type { Socket } from 'node:net';

/** Resolves when a socket is closed, also where it is already, and however it comes to that: `once` of Node would fail with a reset. */
export function closed(socket: Socket | undefined): Promise<void> {
  if (socket === undefined) throw new Error('there is no connection');
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.on('error', () => undefined).once('close', () => resolve());
  });
}
