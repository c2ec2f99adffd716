import type { Run } from '../../ledger/call-notes.ts';
import type { ChunkReader } from '../../ledger/chunk-reader.ts';
import { CHUNK_ITEMS, chunkOf } from '../../ledger/chunk.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import type { BatchStateCache } from '../batch-state-cache.ts';
import type { Block } from '../contract.ts';
import type { Item } from './item.ts';
import { stepsOf } from './steps.ts';

export type ResolvedBlock =
  | { readonly kind: 'items'; readonly items: readonly Item[] }
  /** The feeder has not noted it: it died, or is about to. */
  | { readonly kind: 'not-yet' }
  /** The batch was cancelled and forgotten since, or Redis has lost it: nobody wants these calls any more. */
  | { readonly kind: 'no-batch' }
  /** Redis has lost the chunk. */
  | { readonly kind: 'lost'; readonly what: string };

/** Finds the items of a block that are not settled. */
export async function resolveBlock(
  parts: {
    readonly ledger: Pick<Ledger, 'former' | 'items' | 'lanes' | 'retirements'>;
    readonly chunks: ChunkReader;
    readonly states: BatchStateCache;
  },
  block: Block,
  run: Run,
): Promise<ResolvedBlock> {
  const { ledger, chunks, states } = parts;
  const { batch, instanceId, from, to } = block;
  const chunk = chunkOf(from);
  const [state, cursor, certificates, isSettled] = await Promise.all([
    states.of(batch),
    ledger.lanes.cursor(batch, instanceId),
    chunks.chunk(batch, chunk),
    ledger.items.settledOfChunk(batch, chunk),
  ]);
  if (state === undefined) return { kind: 'no-batch' };
  if (certificates === undefined) return { kind: 'lost', what: `chunk ${chunk} of batch ${batch}` };
  if (cursor < to) return { kind: 'not-yet' };
  const all = Array.from({ length: to - from }, (_, at) => from + at);
  const stepOf = await stepsOf(ledger, state, batch, all);
  const isUrgent = state.priority === 'urgent';
  const items: Item[] = [];
  for (let n = from; n < to; n += 1) {
    const certificate = certificates[n % CHUNK_ITEMS];
    if (certificate?.instanceId !== instanceId || isSettled(n % CHUNK_ITEMS)) continue;
    items.push({ batch, n, ...stepOf(n), certificate, isUrgent, run });
  }
  // An older version may have made jobs for them too, and called, before its feeder died.
  const ordinals = items.map(({ n }) => n);
  if (state.layout < 3) await ledger.former.takeOverNotes(batch, ordinals);
  return { kind: 'items', items };
}
