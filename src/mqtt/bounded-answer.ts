import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';

/** An answer has some hundred bytes, a page of a hundred certificates some hundred thousand. What has more than this, decompressed, is none, and is not kept. */
export const MAX_ANSWER_BYTES = 1_048_576;

/** Thrown when an answer does not end. */
export class AnswerTooLong extends Error {
  override readonly name = 'AnswerTooLong';
}

/** What may still come, bytes. */
const LEFT = Symbol('bytes left');
/** Ends what has had too much. */
const END = Symbol('end');

interface Bounded extends Readable {
  [LEFT]: number;
  [END]: (() => void) | undefined;
}

/**
 * Ends an answer, and the connection it comes on, as soon as it has more bytes than an answer may have, as sent or decompressed. The SDK keeps
 * whatever comes, so this counts on the way into the streams that it reads: nothing is copied, and no stream stands between.
 */
export function boundAnswer(response: IncomingMessage): void {
  bound(response);
  if (response.headers['content-encoding'] === undefined) return;
  // What the SDK decompresses with is made when it begins to read.
  const pipe = response.pipe.bind(response);
  response.pipe = (into, options) => {
    if (isReadable(into)) bound(into, () => response.destroy(new AnswerTooLong()));
    return pipe(into, options);
  };
}

/** One function for all streams: with one for each, the answers outlive several garbage collections, and collecting them costs more than the call. */
function bound(stream: Readable, end?: () => void): void {
  Object.assign(stream, { [LEFT]: MAX_ANSWER_BYTES, [END]: end, push: pushBounded });
}

function pushBounded(this: Bounded, chunk: Buffer | string | null, encoding?: BufferEncoding): boolean {
  this[LEFT] -= chunk?.length ?? 0;
  if (this[LEFT] >= 0) return Readable.prototype.push.call(this, chunk, encoding);
  this.destroy(new AnswerTooLong());
  this[END]?.();
  return false;
}

export function isReadable(stream: object): stream is Readable {
  return 'push' in stream;
}
