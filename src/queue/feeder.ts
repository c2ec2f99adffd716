import type { Redis } from 'ioredis';
import { caution, pendingOf, type CautionPolicy } from '../core/batch.ts';
import { countsSinceResume, type Batch } from '../ledger/batch-record.ts';
import { CHUNK_ITEMS, chunkOf, nextChunk } from '../ledger/chunk.ts';
import { deathsOf, reopenedItemFed, reopenedItems } from '../ledger/dead-letters.ts';
import { STANDING_PREFIX, type ChunkReader, type Lane, type Ledger } from '../ledger/ledger.ts';
import { NO_TRAIL } from './contract.ts';
import type { Backlog, ItemToFeed, RevokeQueue } from './revoke-queue.ts';

export type FeederEvent =
  | { readonly kind: 'batch-paused'; readonly batch: string; readonly settled: number; readonly dead: number }
  | { readonly kind: 'jobs-lost'; readonly batch: string; readonly pending: number };

export interface FeederParts {
  readonly redis: Redis;
  readonly ledger: Ledger;
  readonly chunks: ChunkReader;
  readonly queue: RevokeQueue;
  /** Items the queue may hold ready: about ten seconds of work. */
  readonly lowWater: number;
  readonly caution: CautionPolicy;
  /** Whether the account has the instance, and no halt is on it. */
  readonly mayFeed: (instanceId: string) => boolean;
  /** Whether the account has the instance, halted or not. */
  readonly owns: (instanceId: string) => boolean;
  readonly monotonicMs: () => number;
  readonly tell: (event: FeederEvent) => void;
}

/** Bulk items are fed when so much of the low-water mark is free, so that feeding is done in few large steps. */
const REFILL_SHARE = 0.1;
/** Jobs that wait in delay (retries, halts) before nothing more is fed, as a multiple of the mark. */
const DELAYED_FACTOR = 10;
/** A batch's queue must be found empty for so long before its items count as lost. */
const LOST_AFTER_MS = 5_000;
/** Other processes have heard of a cancellation by then (they look at a batch at least once a second). */
const CANCEL_HEARD_MS = 3_000;

/**
 * Hands items of running batches to the account's queue, never more than the low-water mark, urgent batches first.
 * Only the process that holds the account's lease feeds; should two overlap, the ids of jobs make it harmless.
 */
export class Feeder {
  readonly #parts: FeederParts;
  readonly #emptySince = new Map<string, number>();
  readonly #cancelSeen = new Map<string, number>();

  constructor(parts: FeederParts) {
    this.#parts = parts;
  }

  /** One round. @returns items fed */
  async feed(): Promise<number> {
    const { ledger, queue } = this.#parts;
    const batches = await ledger.activeBatches();
    this.#forgetOthers(batches);
    if (batches.length === 0) return 0;
    const backlog = await queue.backlog();
    let fed = 0;
    for (const batch of batches) {
      if (batch.state === 'cancelled') await this.#sweep(batch);
      else if (batch.state === 'running') fed += await this.#feedBatch(batch, this.#room(batch, backlog, fed), backlog);
    }
    return fed;
  }

  #room({ priority }: Batch, backlog: Backlog, fed: number): number {
    const { lowWater } = this.#parts;
    if (backlog.delayed >= lowWater * DELAYED_FACTOR) return 0;
    // Bulk work that is ready must not keep an urgent certificate waiting.
    if (priority === 'urgent') return Math.max(0, lowWater - backlog.urgent - fed);
    const room = lowWater - backlog.ready - fed;
    return room >= Math.max(1, lowWater * REFILL_SHARE) ? room : 0;
  }

  async #feedBatch(batch: Batch, room: number, backlog: Backlog): Promise<number> {
    const { ledger } = this.#parts;
    const verdict = caution(countsSinceResume(batch), batch.fed, batch.resumedAt !== undefined, this.#parts.caution);
    if (verdict.kind === 'pause') {
      const { settled, dead } = verdict;
      const share = Math.round((dead / settled) * 1_000) / 10;
      await ledger.change(
        batch.id,
        'pause',
        `${dead} of ${settled} settled items are dead (${share}%): look at certsweep dead list --batch ${batch.id}, then certsweep resume ${batch.id}`,
      );
      this.#parts.tell({ kind: 'batch-paused', batch: batch.id, settled, dead });
      return 0;
    }
    let left = Math.min(room, verdict.upTo - batch.fed);
    let fed = 0;
    let waiting = false;
    if (left > 0) fed += await this.#feedReopened(batch, left);
    for (const lane of await ledger.lanes(batch.id)) {
      if (!this.#parts.owns(lane.instanceId)) continue;
      const isAtEnd = nextChunk(lane.chunks, chunkOf(lane.cursor)) === undefined;
      waiting ||= !isAtEnd;
      left = Math.min(room, verdict.upTo - batch.fed) - fed;
      if (isAtEnd || left <= 0 || !this.#parts.mayFeed(lane.instanceId)) continue;
      fed += await this.#feedLane(batch, lane, left);
    }
    if (fed === 0 && !waiting) await this.#healLost(batch, backlog);
    else this.#emptySince.delete(batch.id);
    return fed;
  }

  async #feedLane(batch: Batch, lane: Lane, atMost: number): Promise<number> {
    const { ledger, queue } = this.#parts;
    let { cursor } = lane;
    let fed = 0;
    while (fed < atMost) {
      const page = await this.#page(batch, lane, cursor, atMost - fed);
      if (page === undefined) break;
      await queue.feed(page.items, batch.priority);
      // After the jobs: a crash in between feeds them again under the same ids, and loses none.
      await ledger.advance(batch.id, lane.instanceId, page.next, page.items.length);
      ({ next: cursor } = page);
      fed += page.items.length;
    }
    return fed;
  }

  /** The lane's next unsettled items, of one chunk. */
  async #page(
    batch: Batch,
    lane: Lane,
    cursor: number,
    atMost: number,
  ): Promise<{ items: ItemToFeed[]; next: number } | undefined> {
    const chunk = nextChunk(lane.chunks, chunkOf(cursor));
    if (chunk === undefined) return undefined;
    const [certificates, isSettled] = await Promise.all([
      this.#parts.chunks.chunk(batch.id, chunk),
      this.#parts.ledger.settledOfChunk(batch.id, chunk),
    ]);
    if (certificates === undefined)
      throw new Error(
        `batch ${batch.id} lacks its chunk ${chunk}: submit its manifest again, what is done is not done twice`,
      );
    const first = chunk * CHUNK_ITEMS;
    const items: ItemToFeed[] = [];
    let position = Math.max(0, cursor - first);
    for (; position < certificates.length && items.length < atMost; position += 1) {
      const certificate = certificates[position];
      if (certificate?.instanceId !== lane.instanceId || isSettled(position)) continue;
      // Fed once more because its job was lost: a call may have been made before.
      const trail = batch.rewound ? { trail: { ...NO_TRAIL, effectUnknown: true } } : {};
      items.push({ batch: batch.id, n: first + position, certificate, ...trail });
    }
    return { items, next: position >= certificates.length ? first + CHUNK_ITEMS : first + position };
  }

  /** Retried dead letters, each with what it went through before. */
  async #feedReopened(batch: Batch, atMost: number): Promise<number> {
    const { redis, ledger, queue, mayFeed } = this.#parts;
    const reopened = await reopenedItems(redis, ledger, batch.id);
    const items = reopened
      .filter(({ letter }) => mayFeed(letter.instanceId))
      .slice(0, atMost)
      .map(({ n, letter }) => {
        const { instanceId, caSn, deviceSn } = letter;
        const trail = { ...NO_TRAIL, effectUnknown: letter.effectUnknown };
        return { batch: batch.id, n, certificate: { instanceId, caSn, deviceSn }, history: deathsOf(letter), trail };
      });
    await queue.feed(items, batch.priority);
    await reopenedItemFed(
      redis,
      ledger,
      batch.id,
      items.map(({ n }) => n),
    );
    return items.length;
  }

  /** Everything was fed, something is pending, and the queue is empty: Redis lost jobs. They are fed again. */
  async #healLost(batch: Batch, backlog: Backlog): Promise<void> {
    const { ledger, queue, monotonicMs, tell, owns } = this.#parts;
    const isEmpty = backlog.ready + backlog.delayed + backlog.active + backlog.failed === 0;
    const pending = pendingOf(batch.counts);
    if (!isEmpty || pending === 0) {
      this.#emptySince.delete(batch.id);
      return;
    }
    const since = this.#emptySince.get(batch.id) ?? monotonicMs();
    this.#emptySince.set(batch.id, since);
    if (monotonicMs() - since < LOST_AFTER_MS) return;
    this.#emptySince.delete(batch.id);
    tell({ kind: 'jobs-lost', batch: batch.id, pending });
    if (batch.id.startsWith(STANDING_PREFIX)) {
      const items: ItemToFeed[] = [];
      for (const [key, n] of await ledger.adoptedJobs(batch.id)) {
        const certificate = await ledger.adoptedCertificate(batch.id, n);
        if (certificate === undefined || !owns(certificate.instanceId)) continue;
        items.push({ batch: batch.id, n, certificate, key, trail: { ...NO_TRAIL, effectUnknown: true } });
      }
      await queue.feed(items, 'bulk');
      return;
    }
    await ledger.rewind(batch.id, owns);
  }

  /** Cancels what was never handed to the queue; jobs that are in it settle their own items. */
  async #sweep(batch: Batch): Promise<void> {
    const { redis, ledger, owns, monotonicMs } = this.#parts;
    const since = this.#cancelSeen.get(batch.id) ?? monotonicMs();
    this.#cancelSeen.set(batch.id, since);
    if (monotonicMs() - since < CANCEL_HEARD_MS) return;
    const reopened = await reopenedItems(redis, ledger, batch.id);
    const ordinals = reopened.filter(({ letter }) => owns(letter.instanceId)).map(({ n }) => n);
    await ledger.cancelItems(batch.id, ordinals);
    await reopenedItemFed(redis, ledger, batch.id, ordinals);
    for (const lane of await ledger.lanes(batch.id)) {
      if (!owns(lane.instanceId)) continue;
      const page = await this.#page(batch, lane, lane.cursor, CHUNK_ITEMS);
      if (page === undefined) continue;
      await ledger.cancelItems(
        batch.id,
        page.items.map(({ n }) => n),
      );
      await ledger.advance(batch.id, lane.instanceId, page.next, 0);
    }
  }

  #forgetOthers(batches: readonly Batch[]): void {
    const ids = new Set(batches.map(({ id }) => id));
    for (const seen of [this.#emptySince, this.#cancelSeen]) {
      for (const id of seen.keys()) if (!ids.has(id)) seen.delete(id);
    }
  }
}
