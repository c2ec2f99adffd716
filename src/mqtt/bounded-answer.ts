import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';

/** An answer has some hundred bytes, a page of a hundred certificates some hundred thousand. What has more than this, decompressed, is none, and is not kept. */
export const MAX_ANSWER_BYTES = 1_048_576;

/** Thrown where an answer goes on and on. */
export class AnswerTooLong extends Error {
  override readonly name = 'AnswerTooLong';
}

/**
 * Ends an answer, and the connection it comes on, as soon as it has more bytes than an answer may have, as sent or decompressed. The SDK keeps
 * whatever comes, so this counts on the way into the streams that it reads: nothing is copied, and no stream stands between.
 */
export function boundAnswer(response: IncomingMessage): void {
  const end = (): void => void response.destroy(new AnswerTooLong());
  bound(response, end);
  if (response.headers['content-encoding'] === undefined) return;
  // What the SDK decompresses with is made when it begins to read.
  const pipe = response.pipe.bind(response);
  response.pipe = (into, options) => {
    if (isReadable(into)) {
      bound(into, () => {
        into.destroy(new AnswerTooLong());
        end();
      });
    }
    return pipe(into, options);
  };
}

function bound(stream: Readable, end: () => void): void {
  const push = stream.push.bind(stream);
  let left = MAX_ANSWER_BYTES;
  stream.push = (chunk: Buffer | string | null, encoding?: BufferEncoding) => {
    left -= chunk?.length ?? 0;
    if (left >= 0) return push(chunk, encoding);
    end();
    return false;
  };
}

export function isReadable(stream: object): stream is Readable {
  return 'push' in stream;
}
