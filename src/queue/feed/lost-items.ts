import type { Batch } from '../../ledger/batch-record.ts';
import { CHUNK_ITEMS, chunkOf } from '../../ledger/chunk.ts';
import { isDirectBatch } from '../../ledger/direct-items.ts';
import { blockRange } from '../contract.ts';
import type { AccountQueues } from '../queues.ts';
import { chunkMissing, type FeedSource, type OpenItem } from './lane-page.ts';

/**
 * How often a batch is checked while nothing of it is fed. What was just fed or settled may be half seen, so only an item that nothing holds in
 * two checks is lost.
 */
const CHECK_EVERY_MS = 5_000;
/** How much of a batch one check goes through at most; the next one continues behind it. */
const CHUNKS_A_CHECK = 20;
const ITEMS_A_CHECK = 4_000;

export interface LostItemsParts extends FeedSource {
  /** Whether the account has the instance, halted or not. */
  readonly owns: (instanceId: string) => boolean;
  readonly monotonicMs: () => number;
  readonly tell: (event: ItemsLost) => void;
}

export interface ItemsLost {
  readonly kind: 'jobs-lost';
  readonly batch: string;
  readonly pending: number;
}

/** How far the search through a batch has come. */
interface Search {
  readonly atMs: number;
  readonly chunk: number;
  /** Ordinals that nothing held in the last check. */
  readonly suspects: ReadonlySet<number>;
}

/** Notices that Redis has lost jobs: items were handed to the queue, are not settled, and no job holds them, nor do they wait. */
export class LostItems {
  readonly #parts: LostItemsParts;
  readonly #searches = new Map<string, Search>();

  constructor(parts: LostItemsParts) {
    this.#parts = parts;
  }

  /**
   * Items of the batch that are lost, of some of its chunks at a time.
   * @throws when a chunk of items that pend is not there
   */
  async check(batch: Batch): Promise<OpenItem[]> {
    const { monotonicMs, tell } = this.#parts;
    const last = this.#searches.get(batch.id) ?? { atMs: monotonicMs(), chunk: 0, suspects: new Set() };
    const isDue = monotonicMs() - last.atMs >= CHECK_EVERY_MS;
    this.#searches.set(batch.id, isDue ? { ...last, atMs: monotonicMs() } : last);
    if (!isDue) return [];
    const { items, next } = await this.#handedOver(batch, last.chunk);
    const isHeld = await this.#areHeld(batch, items);
    const free = items.filter((_, at) => isHeld[at] !== true);
    const lost = free.filter(({ n }) => last.suspects.has(n));
    const suspects = free.filter(({ n }) => !last.suspects.has(n));
    const chunk = suspects.length === 0 ? next : last.chunk;
    this.#searches.set(batch.id, { atMs: monotonicMs(), chunk, suspects: new Set(suspects.map(({ n }) => n)) });
    if (lost.length > 0) tell({ kind: 'jobs-lost', batch: batch.id, pending: lost.length });
    return lost;
  }

  /** Makes lost items wait, to continue at once. What an older version noted of their calls is taken over. */
  async park(batch: Batch, items: readonly OpenItem[]): Promise<void> {
    const { ledger } = this.#parts;
    const all = items.map(({ n }) => n);
    if (batch.layout < 3) await ledger.former.takeOverNotes(batch.id, all);
    const byInstance = new Map<string, number[]>();
    for (const { n, certificate } of items) {
      const ordinals = byInstance.get(certificate.instanceId) ?? [];
      ordinals.push(n);
      byInstance.set(certificate.instanceId, ordinals);
    }
    for (const [instanceId, ordinals] of byInstance) {
      await ledger.waiting.park(batch.id, instanceId, ordinals);
    }
  }

  /** There was something to feed: no sign that anything is lost. */
  isFed(batch: string): void {
    this.#searches.delete(batch);
  }

  forgetOthers(batches: ReadonlySet<string>): void {
    for (const id of this.#searches.keys()) if (!batches.has(id)) this.#searches.delete(id);
  }

  /** Of each item, whether a block or a job holds it, or it waits. */
  async #areHeld(batch: Batch, items: readonly OpenItem[]): Promise<boolean[]> {
    if (items.length === 0) return [];
    const { ledger, queues } = this.#parts;
    const isDirect = isDirectBatch(batch.id);
    const mayHaveJobs = isDirect || batch.layout < 3;
    // Blocks first: what leaves one meanwhile waits by the time that is read.
    const ids = isDirect ? [] : await queues.blockIds();
    const haveJobs = mayHaveJobs ? await queues.haveJobs(await this.#jobsOf(batch, items)) : [];
    const places = items.map(({ n, certificate }) => ({ n, instanceId: certificate.instanceId }));
    const isWaiting = await ledger.waiting.areWaiting(batch.id, places);
    const instances = new Set(places.map(({ instanceId }) => instanceId));
    const ranges = new Map(
      [...instances].map((instanceId) => [instanceId, ids.flatMap((id) => blockRange(id, batch.id, instanceId) ?? [])]),
    );
    return items.map(({ n, certificate }, at) => {
      const isInBlock = (ranges.get(certificate.instanceId) ?? []).some(({ from, to }) => n >= from && n < to);
      return isInBlock || isWaiting[at] === true || haveJobs[at] === true;
    });
  }

  /** What names the jobs that may be for the items: how often a version before layout 3 retried each is part of it. */
  async #jobsOf(batch: Batch, items: readonly OpenItem[]): Promise<Parameters<AccountQueues['haveJobs']>[0]> {
    const { ledger } = this.#parts;
    const known = batch.layout < 3 ? items : [];
    const retries = await Promise.all(known.map(async ({ n }) => ledger.former.retries(batch.id, n)));
    return items.map(({ n, key }, at) => {
      return { batch: batch.id, n, retries: retries[at] ?? 0, ...(key !== undefined && { key }) };
    });
  }

  /** Items of the account that were handed to its queue and are not settled, from a chunk on; `next` is 0 behind the last one. */
  async #handedOver(batch: Batch, from: number): Promise<{ items: OpenItem[]; next: number }> {
    const { ledger } = this.#parts;
    const source = isDirectBatch(batch.id) ? await this.#direct(batch) : await this.#submitted(batch);
    const items: OpenItem[] = [];
    let chunk = from;
    for (let chunks = 0; chunks < CHUNKS_A_CHECK && items.length < ITEMS_A_CHECK; chunks += 1) {
      // Most chunks are settled whole, and are passed over at once.
      chunk = chunkOf(await ledger.items.nextOpen(batch.id, chunk * CHUNK_ITEMS));
      if (chunk * CHUNK_ITEMS >= source.end) return { items, next: 0 };
      const isSettled = await ledger.items.settledOfChunk(batch.id, chunk);
      items.push(...(await source.items(chunk, (n) => isSettled(n % CHUNK_ITEMS))));
      chunk += 1;
    }
    return { items, next: chunk };
  }

  async #submitted(batch: Batch): Promise<ItemSource> {
    const { ledger, chunks, owns } = this.#parts;
    const lanes = (await ledger.lanes.of(batch.id)).filter(({ instanceId }) => owns(instanceId));
    const cursors = new Map(lanes.map(({ instanceId, cursor }) => [instanceId, cursor]));
    return {
      end: Math.max(0, ...cursors.values()),
      async items(chunk, isOver) {
        const certificates = await chunks.chunk(batch.id, chunk);
        if (certificates === undefined && batch.state !== 'cancelled') throw chunkMissing(batch.id, chunk);
        return (certificates ?? []).flatMap((certificate, position) => {
          const n = chunk * CHUNK_ITEMS + position;
          const isFed = n < (cursors.get(certificate.instanceId) ?? 0);
          return isFed && !isOver(n) ? [{ n, certificate }] : [];
        });
      },
    };
  }

  async #direct(batch: Batch): Promise<ItemSource> {
    const { ledger } = this.#parts;
    const keys = new Map([...(await ledger.direct.jobs(batch.id))].map(([key, n]) => [n, key]));
    const { accepted } = batch.counts;
    return {
      end: accepted,
      async items(chunk, isOver) {
        const first = chunk * CHUNK_ITEMS;
        const ordinals = Array.from({ length: Math.min(CHUNK_ITEMS, accepted - first) }, (_, at) => first + at);
        const open = ordinals.filter((n) => !isOver(n));
        const certificates = await Promise.all(open.map(async (n) => ledger.direct.certificate(batch.id, n)));
        return open.flatMap((n, at) => {
          const certificate = certificates[at];
          if (certificate === undefined) return [];
          const key = keys.get(n);
          return [{ n, certificate, ...(key !== undefined && { key }) }];
        });
      },
    };
  }
}

/** Where the items of a batch come from. */
interface ItemSource {
  /** Nothing at or behind this ordinal was handed over. */
  readonly end: number;
  readonly items: (chunk: number, isOver: (n: number) => boolean) => Promise<OpenItem[]>;
}
