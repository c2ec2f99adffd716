import type { Redis } from 'ioredis';
import type { Certificate } from '../core/certificate.ts';
import type { Batch } from '../ledger/batch-record.ts';
import { CHUNK_ITEMS } from '../ledger/chunk.ts';
import { reopenedOrdinals } from '../ledger/dead-letters.ts';
import type { ChunkReader } from '../ledger/chunk-reader.ts';
import { STANDING_PREFIX, type Ledger } from '../ledger/ledger.ts';
import type { Backlog } from './revoke-queue.ts';

/** A batch's queue must be found empty for so long before its items count as lost. */
const LOST_AFTER_MS = 5_000;

export interface LostJobsParts {
  readonly redis: Redis;
  readonly ledger: Ledger;
  readonly chunks: ChunkReader;
  /** Whether the account has the instance, halted or not. */
  readonly owns: (instanceId: string) => boolean;
  readonly monotonicMs: () => number;
}

/** An item that a job stood for. */
export interface LostItem {
  readonly n: number;
  readonly certificate: Certificate;
}

/** Notices that Redis has lost jobs: the queue stays empty although items were handed to it. */
export class LostJobs {
  readonly #parts: LostJobsParts;
  readonly #emptySince = new Map<string, number>();

  constructor(parts: LostJobsParts) {
    this.#parts = parts;
  }

  /** The batch's lost items; none before the queue was empty for some time, since what was just fed may not be counted yet. */
  async look(batch: Batch, { ready, delayed, active, failed }: Backlog): Promise<LostItem[]> {
    if (ready + delayed + active + failed > 0) {
      this.#emptySince.delete(batch.id);
      return [];
    }
    const nowMs = this.#parts.monotonicMs();
    const since = this.#emptySince.get(batch.id) ?? nowMs;
    this.#emptySince.set(batch.id, since);
    if (nowMs - since < LOST_AFTER_MS) return [];
    this.#emptySince.delete(batch.id);
    return lostItems(this.#parts, batch);
  }

  isFed(batch: string): void {
    this.#emptySince.delete(batch);
  }

  forgetOthers(batches: ReadonlySet<string>): void {
    for (const id of this.#emptySince.keys()) if (!batches.has(id)) this.#emptySince.delete(id);
  }
}

/**
 * Items of the account that were handed to its queue and are not settled.
 * Items of other accounts, and those that were not fed yet, are none of them.
 */
async function lostItems(parts: LostJobsParts, batch: Batch): Promise<LostItem[]> {
  const notYetFed = await reopenedOrdinals(parts.redis, parts.ledger, batch.id);
  const found: LostItem[] = [];
  const take = (n: number, certificate: Certificate | undefined): void => {
    if (certificate !== undefined && parts.owns(certificate.instanceId)) found.push({ n, certificate });
  };
  if (batch.id.startsWith(STANDING_PREFIX)) {
    for (let first = 0; first < batch.counts.accepted; first += CHUNK_ITEMS) {
      const isSettled = await parts.ledger.settledOfChunk(batch.id, first / CHUNK_ITEMS);
      const size = Math.min(CHUNK_ITEMS, batch.counts.accepted - first);
      for (let position = 0; position < size; position += 1) {
        const n = first + position;
        if (isSettled(position) || notYetFed.has(n)) continue;
        take(n, await parts.ledger.adoptedCertificate(batch.id, n));
      }
    }
    return found;
  }
  for (const { instanceId, chunks, cursor } of await parts.ledger.lanes(batch.id)) {
    if (!parts.owns(instanceId)) continue;
    for (const [from, to] of chunks) {
      for (let chunk = from; chunk <= to && chunk * CHUNK_ITEMS < cursor; chunk += 1) {
        const first = chunk * CHUNK_ITEMS;
        const isSettled = await parts.ledger.settledOfChunk(batch.id, chunk);
        const positions = Array.from({ length: Math.min(CHUNK_ITEMS, cursor - first) }, (_, position) => position);
        const open = positions.filter((position) => !isSettled(position) && !notYetFed.has(first + position));
        // Most chunks are settled whole, and need not be unpacked.
        const certificates = open.length === 0 ? [] : ((await parts.chunks.chunk(batch.id, chunk)) ?? []);
        for (const position of open) {
          const certificate = certificates[position];
          if (certificate?.instanceId === instanceId) take(first + position, certificate);
        }
      }
    }
  }
  return found;
}
