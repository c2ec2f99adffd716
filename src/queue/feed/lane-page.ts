import type { Redis } from 'ioredis';
import type { Certificate } from '../../core/certificate.ts';
import type { Batch } from '../../ledger/batch-record.ts';
import type { ChunkReader } from '../../ledger/chunk-reader.ts';
import { CHUNK_ITEMS, chunkOf, nextChunk } from '../../ledger/chunk.ts';
import type { Lane } from '../../ledger/lanes.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import type { Block } from '../contract.ts';
import type { AccountQueues } from '../queues.ts';

export interface FeedSource {
  readonly redis: Redis;
  readonly ledger: Ledger;
  readonly chunks: ChunkReader;
  readonly queues: AccountQueues;
}

/** An item of a batch that has not ended. */
export interface OpenItem {
  readonly n: number;
  readonly certificate: Certificate;
  /** A direct item: what it was adopted under. */
  readonly key?: string;
}

/** A lane's next items, of one chunk. */
export interface LanePage {
  /** Those that are not settled; none where Redis lacks the chunk. */
  readonly items?: readonly OpenItem[];
  /** The runs of them that one job is for. */
  readonly blocks: readonly Block[];
  /** All of them, also those that were settled although nobody has noted that they were fed; of a batch that deletes after a soak, those of that phase. */
  readonly count: number;
  /** The cursor behind them. */
  readonly next: number;
}

/** Items in a block: few enough to be in one process' hands at once, and enough that the cost of a job is little for each. */
export const BLOCK_ITEMS = 50;

/** @returns undefined behind the lane's last chunk */
export async function lanePage(
  { chunks, ledger }: { readonly chunks: ChunkReader; readonly ledger: Pick<Ledger, 'items' | 'retirements'> },
  batch: Batch,
  lane: Lane,
  cursor: number,
  atMost: number,
): Promise<LanePage | undefined> {
  const chunk = nextChunk(lane.chunks, chunkOf(cursor));
  if (chunk === undefined) return undefined;
  const isDeleting = batch.retirement?.phase === 'deleting';
  const [certificates, isSettled, isMarked] = await Promise.all([
    chunks.chunk(batch.id, chunk),
    ledger.items.settledOfChunk(batch.id, chunk),
    isDeleting ? ledger.retirements.markedOfChunk(batch.id, chunk) : undefined,
  ]);
  const first = chunk * CHUNK_ITEMS;
  if (certificates === undefined) return { blocks: [], count: 0, next: first + CHUNK_ITEMS };
  const items: OpenItem[] = [];
  const blocks: Block[] = [];
  const { instanceId } = lane;
  let count = 0;
  let position = Math.max(0, cursor - first);
  let from = first + position;
  let inBlock = 0;
  let open = 0;
  const cut = (to: number): void => {
    if (open > 0) blocks.push({ batch: batch.id, instanceId, from, to });
    from = to;
    inBlock = 0;
    open = 0;
  };
  for (; position < certificates.length && count < atMost; position += 1) {
    const certificate = certificates[position];
    if (certificate?.instanceId !== instanceId) continue;
    // What had ended before the deletions began is not fed again.
    if (isMarked === undefined || isMarked(position) || !isSettled(position)) count += 1;
    inBlock += 1;
    if (!isSettled(position)) {
      open += 1;
      items.push({ n: first + position, certificate });
    }
    if (inBlock === BLOCK_ITEMS) cut(first + position + 1);
  }
  cut(first + position);
  const next = position >= certificates.length ? first + CHUNK_ITEMS : first + position;
  return { items, blocks, count, next };
}

/** What stops the feeding of a batch whose chunk is not there, for the operator. */
export function chunkMissing(batch: string, chunk: number): Error {
  return new Error(
    `batch ${batch} lacks its chunk ${chunk}: cancel it and submit its manifest again; nothing is done twice`,
  );
}
