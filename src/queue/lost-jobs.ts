import type { Batch } from '../ledger/batch-record.ts';
import { CHUNK_ITEMS, chunkOf } from '../ledger/chunk.ts';
import { reopenedOrdinals } from '../ledger/dead-letters.ts';
import { STANDING_PREFIX } from '../ledger/ledger.ts';
import { asKnown, chunkMissing, type FeedSource } from './items-to-feed.ts';
import type { ItemToFeed } from './revoke-queue.ts';

/**
 * A batch of which nothing is fed is looked at so often. What was just fed or settled may be half seen, so only an item without a job in
 * two looks has lost it.
 */
const LOOK_EVERY_MS = 5_000;
/** How much of a batch one look goes through at most; the next one goes on behind it. */
const CHUNKS_A_LOOK = 20;
const ITEMS_A_LOOK = 4_000;

export interface LostJobsParts extends FeedSource {
  /** Whether the account has the instance, halted or not. */
  readonly owns: (instanceId: string) => boolean;
  readonly monotonicMs: () => number;
  readonly tell: (event: JobsLost) => void;
}

export interface JobsLost {
  readonly kind: 'jobs-lost';
  readonly batch: string;
  readonly pending: number;
}

/** How far the search through a batch has come. */
interface Search {
  readonly atMs: number;
  readonly chunk: number;
  /** Ordinals without a job in the last look. */
  readonly suspects: ReadonlySet<number>;
}

/** Notices that Redis has lost jobs: items were handed to the queue, are not settled, and the queue does not hold them. */
export class LostJobs {
  readonly #parts: LostJobsParts;
  readonly #searches = new Map<string, Search>();

  constructor(parts: LostJobsParts) {
    this.#parts = parts;
  }

  /**
   * Items of the batch whose jobs are lost, of some of its chunks at a time.
   * @throws when a chunk of items that pend is not there
   */
  async look(batch: Batch): Promise<ItemToFeed[]> {
    const { queue, monotonicMs, tell } = this.#parts;
    const last = this.#searches.get(batch.id) ?? { atMs: monotonicMs(), chunk: 0, suspects: new Set() };
    const isDue = monotonicMs() - last.atMs >= LOOK_EVERY_MS;
    this.#searches.set(batch.id, isDue ? { ...last, atMs: monotonicMs() } : last);
    if (!isDue) return [];
    const { items, next } = await this.#handedOver(batch, last.chunk);
    const known = await asKnown(this.#parts, batch.id, items);
    const isHeld = await queue.holds(known);
    const jobless = known.filter((_, at) => isHeld[at] !== true);
    const lost = jobless.filter(({ n }) => last.suspects.has(n));
    const suspects = jobless.filter(({ n }) => !last.suspects.has(n));
    const chunk = suspects.length === 0 ? next : last.chunk;
    this.#searches.set(batch.id, { atMs: monotonicMs(), chunk, suspects: new Set(suspects.map(({ n }) => n)) });
    if (lost.length > 0) tell({ kind: 'jobs-lost', batch: batch.id, pending: lost.length });
    return lost;
  }

  /** There was something to feed: no sign that anything is lost. */
  isFed(batch: string): void {
    this.#searches.delete(batch);
  }

  forgetOthers(batches: ReadonlySet<string>): void {
    for (const id of this.#searches.keys()) if (!batches.has(id)) this.#searches.delete(id);
  }

  /** Items of the account that were handed to its queue and are not settled, from a chunk on; `next` is 0 behind the last one. */
  async #handedOver(batch: Batch, from: number): Promise<{ items: ItemToFeed[]; next: number }> {
    const { redis, ledger } = this.#parts;
    const source = batch.id.startsWith(STANDING_PREFIX) ? await this.#standing(batch) : await this.#submitted(batch);
    const notYetFed = await reopenedOrdinals(redis, ledger, batch.id);
    const items: ItemToFeed[] = [];
    let chunk = from;
    for (let looks = 0; looks < CHUNKS_A_LOOK && items.length < ITEMS_A_LOOK; looks += 1) {
      // Most chunks are settled whole, and are passed over at once.
      chunk = chunkOf(await ledger.nextOpen(batch.id, chunk * CHUNK_ITEMS));
      if (chunk * CHUNK_ITEMS >= source.end) return { items, next: 0 };
      const isSettled = await ledger.settledOfChunk(batch.id, chunk);
      const found = await source.items(chunk, (n) => isSettled(n % CHUNK_ITEMS) || notYetFed.has(n));
      items.push(...found);
      chunk += 1;
    }
    return { items, next: chunk };
  }

  async #submitted(batch: Batch): Promise<ItemSource> {
    const { ledger, chunks, owns } = this.#parts;
    const lanes = (await ledger.lanes(batch.id)).filter(({ instanceId }) => owns(instanceId));
    const cursors = new Map(lanes.map(({ instanceId, cursor }) => [instanceId, cursor]));
    return {
      end: Math.max(0, ...cursors.values()),
      async items(chunk, isOver) {
        const certificates = await chunks.chunk(batch.id, chunk);
        if (certificates === undefined && batch.state !== 'cancelled') throw chunkMissing(batch.id, chunk);
        return (certificates ?? []).flatMap((certificate, position) => {
          const n = chunk * CHUNK_ITEMS + position;
          const isFed = n < (cursors.get(certificate.instanceId) ?? 0);
          return isFed && !isOver(n) ? [{ batch: batch.id, n, certificate }] : [];
        });
      },
    };
  }

  async #standing(batch: Batch): Promise<ItemSource> {
    const { ledger } = this.#parts;
    const keys = new Map([...(await ledger.adoptedJobs(batch.id))].map(([key, n]) => [n, key]));
    const { accepted } = batch.counts;
    return {
      end: accepted,
      async items(chunk, isOver) {
        const first = chunk * CHUNK_ITEMS;
        const ordinals = Array.from({ length: Math.min(CHUNK_ITEMS, accepted - first) }, (_, at) => first + at);
        const open = ordinals.filter((n) => !isOver(n));
        const certificates = await Promise.all(open.map(async (n) => ledger.adoptedCertificate(batch.id, n)));
        return open.flatMap((n, at) => {
          const certificate = certificates[at];
          if (certificate === undefined) return [];
          const key = keys.get(n);
          return [{ batch: batch.id, n, certificate, ...(key !== undefined && { key, jobId: key }) }];
        });
      },
    };
  }
}

/** Where the items of a batch come from. */
interface ItemSource {
  /** Nothing at or behind this ordinal was handed over. */
  readonly end: number;
  readonly items: (chunk: number, isOver: (n: number) => boolean) => Promise<ItemToFeed[]>;
}
