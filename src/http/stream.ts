import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';

/**
 * Sends text as it comes, no faster than it is taken. Where the source fails in the middle, the connection is cut, so that nobody takes the part for
 * the whole.
 * @param source - read only as far as the client reads; ended when that goes away
 * @throws what the source throws before its first piece: then the answer is still open
 */
export async function sendStream(
  outgoing: ServerResponse,
  headers: Readonly<Record<string, string>>,
  source: AsyncIterable<string>,
): Promise<Response> {
  const pieces = source[Symbol.asyncIterator]();
  const first = await pieces.next();
  outgoing.writeHead(200, headers);
  async function* all(): AsyncGenerator<string> {
    try {
      if (first.done !== true) yield first.value;
      for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) yield next.value;
    } finally {
      await pieces.return?.();
    }
  }
  void pipeline(Readable.from(all(), { objectMode: true, highWaterMark: 1 }), outgoing).catch(() => outgoing.destroy());
  return RESPONSE_ALREADY_SENT;
}
