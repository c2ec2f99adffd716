import type { IncomingMessage } from 'node:http';
import { Problem } from './problem.ts';

export interface BodyLimits {
  readonly maxBytes: number;
  /** The longest silence. */
  readonly idleMs: number;
  /** What has to have come on average, once it takes longer than `idleMs`: a trickle would hold what it was given for ever. */
  readonly leastBytesPerSecond: number;
}

/** How long and how much the service waits for a slow client. */
export interface Limits {
  /** Of a body that is read into memory. */
  readonly small: BodyLimits;
  /** Of a manifest, which is read as a stream. */
  readonly manifest: BodyLimits;
  /** A connection on which nothing moves is closed after so long: also one whose client reads nothing of a stream. */
  readonly idleMs: number;
  /** For the rest of a request to come in that was answered before its end. */
  readonly lingerMs: number;
  /** Streams of events at once. */
  readonly streams: number;
}

/** A manifest may have some ten million certificates. */
export const LIMITS: Limits = {
  small: { maxBytes: 64 * 1024, idleMs: 10_000, leastBytesPerSecond: 1_024 },
  manifest: { maxBytes: 1 << 30, idleMs: 30_000, leastBytesPerSecond: 4_096 },
  idleMs: 60_000,
  lingerMs: 2_000,
  streams: 200,
};

/**
 * The bytes of a request as they come, within limits.
 * @throws Problem where they are too many or too slow, or where the client went away before the end
 */
export async function* readBody(incoming: IncomingMessage, limits: BodyLimits): AsyncGenerator<Buffer> {
  const { maxBytes } = limits;
  if (Number(incoming.headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes);
  const chunks = incoming[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const startMs = performance.now();
  let bytes = 0;
  for (;;) {
    const next = await within(limits.idleMs, chunks.next().catch(cutOff));
    if (next.done === true) return;
    bytes += next.value.length;
    if (bytes > maxBytes) throw tooLarge(maxBytes);
    const seconds = (performance.now() - startMs - limits.idleMs) / 1_000;
    if (bytes < seconds * limits.leastBytesPerSecond) throw tooSlow();
    yield next.value;
  }
}

/** The whole of a small body. */
export async function readText(incoming: IncomingMessage, limits: BodyLimits): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of readBody(incoming, limits)) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooSlow()), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function cutOff(error: unknown): never {
  throw new Problem(
    {
      status: 400,
      code: 'cut-off',
      title: 'The request was cut off',
      detail: 'The connection ended before the body did. Nothing was touched.',
      next: 'Send it again as a whole.',
    },
    { cause: error },
  );
}

function tooLarge(maxBytes: number): Problem {
  return new Problem({
    status: 413,
    code: 'too-large',
    title: 'The body is too large',
    detail: `At most ${maxBytes} bytes are accepted. Nothing was touched.`,
    next: 'Send less at a time.',
    headers: { connection: 'close' },
  });
}

function tooSlow(): Problem {
  return new Problem({
    status: 408,
    code: 'too-slow',
    title: 'The body came too slowly',
    detail: 'The rest of the body did not arrive in time. Nothing was touched.',
    next: 'Send it again as a whole.',
    headers: { connection: 'close' },
  });
}
