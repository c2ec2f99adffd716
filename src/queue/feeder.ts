import type { Redis } from 'ioredis';
import type { CautionPolicy } from '../core/batch.ts';
import type { Batch } from '../ledger/batch-record.ts';
import { CHUNK_ITEMS, chunkOf, nextChunk } from '../ledger/chunk.ts';
import { deathsOf, reopenedItemFed, reopenedItems } from '../ledger/dead-letters.ts';
import type { ChunkReader } from '../ledger/chunk-reader.ts';
import { STANDING_PREFIX, type Lane, type Ledger } from '../ledger/ledger.ts';
import { isInRamp, judgeBatch, pauseReason } from './breaker.ts';
import { NO_TRAIL } from './contract.ts';
import { standingBatchOf } from './item.ts';
import { LostJobs } from './lost-jobs.ts';
import { inTurn } from './lease.ts';
import type { Backlog, ItemToFeed, RevokeQueue } from './revoke-queue.ts';

export type FeederEvent =
  | { readonly kind: 'batch-paused'; readonly batch: string; readonly settled: number; readonly dead: number }
  | { readonly kind: 'jobs-lost'; readonly batch: string; readonly pending: number };

export interface FeederParts {
  readonly account: { readonly name: string };
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
/** Other processes have heard of a cancellation by then (they look at a batch at least once a second). */
const CANCEL_HEARD_MS = 3_000;

/**
 * Hands items of running batches to the account's queue, never more than the low-water mark, urgent batches first.
 * Only the process that holds the account's lease feeds; should two overlap, the ids of jobs make it harmless.
 */
export class Feeder {
  readonly #parts: FeederParts;
  readonly #lost: LostJobs;
  readonly #cancelSeen = new Map<string, number>();

  constructor(parts: FeederParts) {
    this.#parts = parts;
    this.#lost = new LostJobs(parts);
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
      if (this.#isOfAnother(batch)) continue;
      if (batch.state === 'cancelled') await this.#sweep(batch, backlog);
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
    const { redis, ledger, caution, owns } = this.#parts;
    const lanes = await ledger.lanes(batch.id);
    const isShared = lanes.some(({ instanceId }) => !owns(instanceId));
    if (!isShared || !isInRamp(batch, caution)) return this.#feedStep(batch, lanes, room, backlog);
    return inTurn(redis, ledger.keys.of(batch.id).turn, async () => {
      const [now, lanesNow] = await Promise.all([ledger.batch(batch.id), ledger.lanes(batch.id)]);
      return now?.state === 'running' ? this.#feedStep(now, lanesNow, room, backlog) : 0;
    });
  }

  async #feedStep(batch: Batch, lanes: readonly Lane[], room: number, backlog: Backlog): Promise<number> {
    const { ledger, caution } = this.#parts;
    const fedNow = isInRamp(batch, caution) ? batch.fed - (await this.#held(batch, lanes)) : batch.fed;
    const verdict = judgeBatch({ ...batch, fed: fedNow }, caution);
    if (verdict.kind === 'pause') {
      await ledger.change(batch.id, 'pause', pauseReason(batch.id, verdict));
      this.#parts.tell({ kind: 'batch-paused', batch: batch.id, settled: verdict.settled, dead: verdict.dead });
      return 0;
    }
    // Outside the ramp: they have been fed before, and the step that they belong to may be waiting for them.
    let fed = room > 0 ? await this.#feedReopened(batch, room) : 0;
    let ofStep = verdict.upTo - fedNow;
    for (const lane of lanes) {
      const left = Math.min(room - fed, ofStep);
      if (left <= 0 || !this.#parts.mayFeed(lane.instanceId)) continue;
      const ofLane = await this.#feedLane(batch, lane, left);
      fed += ofLane;
      ofStep -= ofLane;
    }
    if (fed === 0) await this.#healLost(batch, backlog);
    else this.#lost.isFed(batch.id);
    return fed;
  }

  /** Items whose jobs wait for the end of a halt: a step of the ramp does not wait for them. */
  async #held(batch: Batch, lanes: readonly Lane[]): Promise<number> {
    const { owns, mayFeed } = this.#parts;
    let held = 0;
    for (const lane of lanes) {
      if (!owns(lane.instanceId) || mayFeed(lane.instanceId)) continue;
      for (let cursor = 0; cursor < lane.cursor;) {
        const page = await this.#page(batch, lane, cursor, CHUNK_ITEMS);
        if (page === undefined) break;
        held += page.items.filter(({ n }) => n < lane.cursor).length;
        cursor = page.next;
      }
    }
    return held;
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
      const n = first + position;
      // Fed once more because its job was lost: a call may have been made before.
      const trail = n < lane.suspectBelow ? { trail: { ...NO_TRAIL, effectUnknown: true } } : {};
      items.push({ batch: batch.id, n, certificate, ...trail });
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

  /** The queue is empty although items were handed to it: Redis lost their jobs. They are fed again. */
  async #healLost(batch: Batch, backlog: Backlog): Promise<void> {
    const { ledger, queue, tell } = this.#parts;
    const lost = await this.#lost.look(batch, backlog);
    if (lost.length === 0) return;
    tell({ kind: 'jobs-lost', batch: batch.id, pending: lost.length });
    if (!batch.id.startsWith(STANDING_PREFIX)) {
      const lostOf = new Map<string, number>();
      for (const { certificate } of lost) {
        lostOf.set(certificate.instanceId, (lostOf.get(certificate.instanceId) ?? 0) + 1);
      }
      for (const [instanceId, count] of lostOf) await ledger.rewind(batch.id, instanceId, count);
      return;
    }
    const keys = await this.#adoptedAs(batch);
    const trail = { ...NO_TRAIL, effectUnknown: true };
    const items = lost.map(({ n, certificate }): ItemToFeed => {
      const key = keys.get(n);
      return { batch: batch.id, n, certificate, trail, ...(key !== undefined && { key }) };
    });
    await queue.feed(items, 'bulk');
  }

  /** Of a standing batch: what its pending items were adopted under. */
  async #adoptedAs(batch: Batch): Promise<ReadonlyMap<number, string>> {
    const jobs = await this.#parts.ledger.adoptedJobs(batch.id);
    return new Map([...jobs].map(([jobId, n]) => [n, jobId]));
  }

  /** Cancels what was never handed to the queue; jobs that are in it settle their own items. */
  async #sweep(batch: Batch, backlog: Backlog): Promise<void> {
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
      const neverFed = page.items.map(({ n }) => n);
      await ledger.cancelItems(batch.id, neverFed);
      await ledger.advance(batch.id, lane.instanceId, page.next, 0);
    }
    await this.#cancelLost(batch, backlog);
  }

  /** Of a cancelled batch, items whose jobs Redis lost are not called for again. */
  async #cancelLost(batch: Batch, backlog: Backlog): Promise<void> {
    const lost = await this.#lost.look(batch, backlog);
    if (lost.length === 0) return;
    this.#parts.tell({ kind: 'jobs-lost', batch: batch.id, pending: lost.length });
    const keys = await this.#adoptedAs(batch);
    for (const { n } of lost) {
      const jobId = keys.get(n);
      const end = { outcome: 'cancelled', code: '', requestId: '', attempts: 0 } as const;
      await this.#parts.ledger.settle({ batch: batch.id, n, ...end, ...(jobId !== undefined && { jobId }) });
    }
  }

  /** Another account's standing batch. */
  #isOfAnother({ id }: Batch): boolean {
    return id.startsWith(STANDING_PREFIX) && id !== standingBatchOf(this.#parts.account.name);
  }

  #forgetOthers(batches: readonly Batch[]): void {
    const ids = new Set(batches.map(({ id }) => id));
    this.#lost.forgetOthers(ids);
    for (const id of this.#cancelSeen.keys()) if (!ids.has(id)) this.#cancelSeen.delete(id);
  }
}
