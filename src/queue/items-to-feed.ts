import type { Redis } from 'ioredis';
import type { Batch } from '../ledger/batch-record.ts';
import type { ChunkReader } from '../ledger/chunk-reader.ts';
import { CHUNK_ITEMS, chunkOf, nextChunk } from '../ledger/chunk.ts';
import { reopenedItems, retriesOf, type DeadLetter } from '../ledger/dead-letters.ts';
import type { Lane, Ledger } from '../ledger/ledger.ts';
import type { ItemToFeed, RevokeQueue } from './revoke-queue.ts';

export interface FeedSource {
  readonly redis: Redis;
  readonly ledger: Ledger;
  readonly chunks: ChunkReader;
  readonly queue: RevokeQueue;
}

/** A lane's next items, of one chunk. */
export interface LanePage {
  /** Those that are not settled; none where Redis lacks the chunk. */
  readonly items?: readonly ItemToFeed[];
  /** All of them, also those that were settled although nobody has noted that they were fed. */
  readonly count: number;
  /** The cursor behind them. */
  readonly next: number;
}

/** @returns undefined behind the lane's last chunk */
export async function lanePage(
  { chunks, ledger }: FeedSource,
  batch: Batch,
  lane: Lane,
  cursor: number,
  atMost: number,
): Promise<LanePage | undefined> {
  const chunk = nextChunk(lane.chunks, chunkOf(cursor));
  if (chunk === undefined) return undefined;
  const [certificates, isSettled] = await Promise.all([
    chunks.chunk(batch.id, chunk),
    ledger.settledOfChunk(batch.id, chunk),
  ]);
  const first = chunk * CHUNK_ITEMS;
  if (certificates === undefined) return { count: 0, next: first + CHUNK_ITEMS };
  const items: ItemToFeed[] = [];
  let count = 0;
  let position = Math.max(0, cursor - first);
  for (; position < certificates.length && count < atMost; position += 1) {
    const certificate = certificates[position];
    if (certificate?.instanceId !== lane.instanceId) continue;
    count += 1;
    if (!isSettled(position)) items.push({ batch: batch.id, n: first + position, certificate });
  }
  return { items, count, next: position >= certificates.length ? first + CHUNK_ITEMS : first + position };
}

/** What stops the feeding of a batch whose chunk is not there, for the operator. */
export function chunkMissing(batch: string, chunk: number): Error {
  return new Error(
    `batch ${batch} lacks its chunk ${chunk}: cancel it and submit its manifest again, what is done is not done twice`,
  );
}

export type RetriedItem = ItemToFeed & { readonly retries: number };

/** Retried dead letters that no job stands for yet, each with what it went through before. */
export async function retriedItems(
  { redis, ledger }: FeedSource,
  batch: Batch,
  isWanted: (letter: DeadLetter) => boolean,
): Promise<RetriedItem[]> {
  const reopened = await reopenedItems(redis, ledger, batch.id);
  return reopened
    .filter(({ letter }) => isWanted(letter))
    .map(({ n, letter, retries }) => {
      const { instanceId, caSn, deviceSn } = letter;
      return { batch: batch.id, n, retries, certificate: { instanceId, caSn, deviceSn } };
    });
}

/**
 * The items of a batch with what the ledger knows of each: how often it was retried, which names its job, and whether a call of it may have left.
 * What is read together with how often it was retried stays as it is: it belongs to that life of the item.
 */
export async function asKnown<T extends { readonly n: number; readonly retries?: number }>(
  { redis, ledger }: FeedSource,
  batch: string,
  items: readonly T[],
): Promise<(T & { readonly retries: number; readonly departed: boolean })[]> {
  const ordinals = items.map(({ n }) => n);
  const [retries, departed] = await Promise.all([
    retriesOf(redis, ledger, batch, ordinals),
    ledger.haveDeparted(batch, ordinals),
  ]);
  return items.map((item, at) => ({
    ...item,
    retries: item.retries ?? retries[at] ?? 0,
    departed: departed[at] === true,
  }));
}

/**
 * Hands items to the queue. None has two jobs that could call for it: fed twice it has one, and a job that is left from before a retry
 * stands aside.
 */
export async function handOver(parts: FeedSource, batch: Batch, items: readonly ItemToFeed[]): Promise<void> {
  await parts.queue.feed(await asKnown(parts, batch.id, items), batch.priority);
}
