import { setTimeout as delay } from 'node:timers/promises';
import { createHash } from 'node:crypto';
import { z } from '@hono/zod-openapi';
import { batchStatus, type BatchDetail } from '../../app/overview.ts';
import type { Store } from '../../app/store.ts';
import { addRoute, type Api, type Surroundings } from '../api.ts';
import { Problem } from '../problem.ts';
import { batchId } from '../schemas.ts';
import { sendStream } from '../stream.ts';
import { requireBatch } from './batch-reads.ts';

const POLL_EVERY_MS = 1_000;
/** One read serves all who follow the batch. */
const GOOD_FOR_MS = 900;
/** Shorter than what proxies close a silent connection after. */
const WORD_EVERY_MS = 15_000;
/** If Redis does not answer within this time, the client should come back later. */
const TROUBLE_MS = 30_000;

/** The progress of a batch as server-sent events. */
export function addEvents(api: Api, { store }: Surroundings): void {
  const reads = new BatchReads(store);
  let streams = 0;
  addRoute(
    api,
    {
      method: 'get',
      path: '/v1/events',
      right: 'read',
      summary: 'Follow a batch: an event for each change, until it is done',
      query: z.strictObject({ batch: batchId }),
      headers: z.object({
        'last-event-id': z.string().optional().describe('Id of the last event received: it is not sent again.'),
      }),
      answers: {
        200: {
          description: 'Events progress, each with the whole state of the batch, and at last done.',
          types: ['text/event-stream'],
        },
        204: { description: 'The last event received was done: there are no more.', types: [] },
      },
    },
    async (asked, { query: { batch } }) => {
      await requireBatch(asked, store, batch);
      const last = asked.req.header('last-event-id');
      const now = await reads.at(batch);
      // A browser reconnects by itself, unless it is told that there is nothing more.
      if (now !== undefined && isDone(now) && idOf(now) === last) return new Response(null, { status: 204 });
      const { outgoing, limits } = asked.env;
      // A client that has left by now gets no event: it would hold its place for ever.
      if (outgoing.destroyed) return new Response(null, { status: 204 });
      if (streams >= limits.streams) throw tooManyStreams(limits.streams);
      streams += 1;
      outgoing.once('close', () => (streams -= 1));
      const headers = { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' };
      const text = eventsOf(
        () => reads.at(batch),
        last,
        () => outgoing.destroyed,
      );
      return sendStream(outgoing, headers, text);
    },
  );
}

/** @param isOver - whether nobody listens any more */
async function* eventsOf(
  read: () => Promise<BatchDetail | undefined>,
  lastId: string | undefined,
  isOver: () => boolean,
): AsyncGenerator<string> {
  yield 'retry: 2000\n\n';
  let heard = lastId;
  let wordMs = performance.now();
  let seenMs = performance.now();
  while (!isOver()) {
    const nowMs = performance.now();
    const found = await read().catch(() => 'trouble' as const);
    if (found === undefined) return;
    if (found === 'trouble') {
      if (nowMs - seenMs > TROUBLE_MS) return;
    } else {
      seenMs = nowMs;
      const id = idOf(found);
      if (id !== heard) {
        yield `id: ${id}\nevent: progress\ndata: ${JSON.stringify(found)}\n\n`;
        [heard, wordMs] = [id, nowMs];
      }
      if (isDone(found)) {
        yield `id: ${id}\nevent: done\ndata: {}\n\n`;
        return;
      }
    }
    if (nowMs - wordMs > WORD_EVERY_MS) {
      yield ': still here\n\n';
      wordMs = nowMs;
    }
    await delay(POLL_EVERY_MS);
  }
}

function isDone({ pending, state }: BatchDetail): boolean {
  return pending === 0 && state !== 'planned' && state !== 'paused';
}

/** The same for the same state, in every process; the rate changes without one. */
function idOf({ ratePerSecond: _rate, etaSeconds: _eta, ...state }: BatchDetail): string {
  return createHash('sha256').update(JSON.stringify(state)).digest('base64url').slice(0, 22);
}

/** Reads batches, each at most once in a while, however many follow it. */
class BatchReads {
  readonly #store: Store;
  readonly #known = new Map<string, { readonly atMs: number; readonly detail: Promise<BatchDetail | undefined> }>();

  constructor(store: Store) {
    this.#store = store;
  }

  async at(batch: string): Promise<BatchDetail | undefined> {
    const nowMs = performance.now();
    const known = this.#known.get(batch);
    if (known !== undefined && nowMs - known.atMs < GOOD_FOR_MS) return known.detail;
    for (const [id, { atMs }] of this.#known) if (nowMs - atMs >= GOOD_FOR_MS) this.#known.delete(id);
    const detail = batchStatus(this.#store.ledger, batch);
    this.#known.set(batch, { atMs: nowMs, detail });
    return detail;
  }
}

function tooManyStreams(most: number): Problem {
  return new Problem({
    status: 503,
    code: 'busy',
    title: 'Too many follow already',
    detail: `This process serves ${most} streams at once.`,
    next: 'GET /v1/batches/{id} every few seconds, or try again later.',
    headers: { 'retry-after': '10' },
  });
}
