import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { isReadable, MAX_ANSWER_BYTES } from './bounded-answer.ts';
import { fieldOf } from './fields.ts';

/** What the SDK is given to read in place of an answer that was read here. */
const NOTHING = Buffer.from('{}');

/**
 * Reads the answer's JSON as it comes in. The SDK does that letter by letter: of a page of a hundred certificates, it takes most of what a call costs. It
 * still reads what only it can judge: a refusal, what is no JSON, and what is too long.
 * @param take - gets the body, before the SDK is done
 */
export function readAnswer(response: IncomingMessage, take: (body: object) => void): void {
  if (response.headers['content-encoding'] === undefined) {
    readFrom(response, take);
    return;
  }
  // What the SDK unpacks with is made when it begins to read.
  const pipe = response.pipe.bind(response);
  response.pipe = (into, options) => {
    // First: it bounds what is unpacked, and nothing comes before this turn ends.
    const piped = pipe(into, options);
    if (isReadable(into)) readFrom(into, take);
    return piped;
  };
}

function readFrom(stream: Readable, take: (body: object) => void): void {
  const push = stream.push.bind(stream);
  let chunks: Buffer[] = [];
  let length = 0;
  stream.push = (chunk: Buffer | string | null, encoding?: BufferEncoding) => {
    if (length > MAX_ANSWER_BYTES) return push(chunk, encoding);
    if (chunk !== null) {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
      chunks.push(bytes);
      length += bytes.length;
      if (length <= MAX_ANSWER_BYTES) return true;
    }
    const all = Buffer.concat(chunks);
    chunks = [];
    if (chunk !== null) return push(all);
    const body = bodyOf(all);
    if (body !== undefined) take(body);
    push(body === undefined ? all : NOTHING);
    return push(null);
  };
}

function bodyOf(bytes: Buffer): object | undefined {
  try {
    const body: unknown = JSON.parse(bytes.toString());
    return typeof body === 'object' && body !== null && isBlank(fieldOf(body, 'Code')) ? body : undefined;
  } catch {
    return undefined;
  }
}

/** What the SDK takes for no code. */
function isBlank(code: unknown): boolean {
  return code === undefined || code === null || code === '' || code === 0 || code === false;
}
