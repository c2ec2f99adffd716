import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { prepareDirectory } from '../../../../src/runtime/redis/embedded/data-directory.ts';
import { useEmbeddedPlace } from './embedded-place.ts';

const place = useEmbeddedPlace();
/** No process has it. */
const NO_PROCESS = 4_194_305;

/** A server that is killed right after it has said who it is: of its process nothing is left, and its connections are about to break. */
async function dyingServer(directory: string): Promise<Server> {
  const info = `process_id:${NO_PROCESS}\r\n`;
  const replies: readonly (readonly [command: RegExp, reply: string])[] = [
    [/\bHELLO\b/i, '%1\r\n$5\r\nproto\r\n:3\r\n'],
    [/\bINFO\b/i, `$${info.length}\r\n${info}\r\n`],
    [/\bCONFIG\b/i, `%1\r\n$3\r\ndir\r\n$${directory.length}\r\n${directory}\r\n`],
  ];
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      // Each command is an array of strings, and only the first one is one of ours to answer.
      for (const command of chunk.toString('latin1').split(/(?=^\*\d+\r\n)/m)) {
        if (/\bPING\b/i.test(command)) {
          socket.destroy();
          server.close();
          return;
        }
        socket.write(replies.find(([name]) => name.test(command))?.[1] ?? '+OK\r\n');
      }
    });
  }).listen(join(directory, 'redis.sock'));
  await once(server, 'listening');
  return server;
}

it('a server that is killed while it is asked who it is counts as gone, and the next one is started', async () => {
  const { path } = await prepareDirectory(place.dataDir);
  await dyingServer(path);
  const redis = await place.open();
  expect(await place.client(redis).ping()).toBe('PONG');
  expect(place.notices.at(-1)?.kind).toBe('started');
});
