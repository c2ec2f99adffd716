import { TransformStream } from 'node:stream/web';
import type { InventoryRow } from '../inventory/row.ts';
import { NO_SINK, type Sink } from '../inventory/sink.ts';
import type { InventoryEnd } from './inventory.ts';

/**
 * The rows of an inventory while it is taken: it reads only as far as the caller does, and the pages under way. It ends when the caller stops reading.
 * @param closing - ends it, too
 * @param take - takes the inventory, until the signal
 * @returns how it ended
 * @throws what `take` throws
 */
export async function* rowsOf(
  closing: AbortSignal,
  take: (sink: Sink, signal: AbortSignal) => Promise<InventoryEnd>,
): AsyncGenerator<InventoryRow, InventoryEnd, undefined> {
  const { readable, writable } = new TransformStream<readonly InventoryRow[], readonly InventoryRow[]>();
  const writer = writable.getWriter();
  // The reader learns of the failure from `taking`.
  writer.closed.catch(() => undefined);
  const leaving = new AbortController();
  const signal = AbortSignal.any([closing, leaving.signal]);
  const stop = (): void => void writer.abort(signal.reason).catch(() => undefined);
  signal.addEventListener('abort', stop, { once: true });
  const taking = take({ ...NO_SINK, write: (rows) => writer.write(rows) }, signal)
    .catch((error: unknown): InventoryEnd => {
      // Its last page was given up with it.
      if (signal.aborted) return { kind: 'closed' };
      throw error;
    })
    .finally(() => void writer.close().catch(() => undefined));
  // Heard below, once the rows before it have been read.
  taking.catch(() => undefined);
  try {
    for await (const rows of readable) yield* rows;
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    leaving.abort();
    await taking.catch(() => undefined);
  }
  return taking;
}
