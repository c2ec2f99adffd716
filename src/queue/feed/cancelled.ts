import { setImmediate as turn } from 'node:timers/promises';
import type { Action } from '../../core/action.ts';
import type { Certificate } from '../../core/certificate.ts';
import type { Batch } from '../../ledger/batch-record.ts';
import { CHUNK_ITEMS, chunkOf } from '../../ledger/chunk.ts';
import { isDirectBatch } from '../../ledger/direct-items.ts';
import type { CancelledItem, ItemCancellation } from '../../ledger/items.ts';
import type { Lane } from '../../ledger/lanes.ts';
import { lanePage, type OpenItem } from './lane-page.ts';
import type { ItemsLost, LostItems, LostItemsParts } from './lost-items.ts';
import type { LostLanes } from './lost-lanes.ts';

/** Chunks of one lane that are ended in one round, so that other batches have their turn. */
const CHUNKS_A_ROUND = 20;
/** How often a lane is gone through again: what had a call under way may have come back without one. */
const AGAIN_MS = 2_000;

/** A cancelled item has its outcome. */
export interface ItemCancelled {
  readonly kind: 'item-cancelled';
  readonly batch: string;
  readonly n: number;
  readonly outcome: ItemCancellation['outcome'];
  readonly action: Action;
  /** Absent where Redis has lost it. */
  readonly certificate?: Certificate;
}

export interface CancelledParts extends LostItemsParts {
  readonly tell: (event: ItemCancelled | ItemsLost) => void;
}

/** Told without a pause: what is told is written, and slots are void in some ten milliseconds. */
const TOLD_AT_ONCE = 100;

/**
 * Ends the items of cancelled batches. What no call may have worked for is cancelled here, also where a run has it: that run learns of it before it calls. What may
 * have worked is followed to its end by the run that has it, or as lost.
 */
export class CancelledBatches {
  readonly #parts: CancelledParts;
  readonly #lost: LostItems;
  readonly #lostLanes: LostLanes;
  /** How far each lane was gone through, and since when: some have to be passed over, since a call of theirs is under way. */
  readonly #searches = new Map<string, { readonly from: number; readonly sinceMs: number }>();

  constructor(parts: CancelledParts, lost: LostItems, lostLanes: LostLanes) {
    this.#parts = parts;
    this.#lost = lost;
    this.#lostLanes = lostLanes;
  }

  /** One step; the feeder takes one in each round, until nothing pends. */
  async sweep(batch: Batch): Promise<void> {
    const { owns } = this.#parts;
    const lanes = await this.#lostLanes.lanesOf(batch);
    if (lanes === undefined) return;
    if (isDirectBatch(batch.id)) await this.#endDirect(batch);
    else {
      for (const lane of lanes) if (owns(lane.instanceId)) await this.#endLane(batch, lane);
      await this.#endUnreadable(batch);
    }
    await this.#lost.park(batch, await this.#lost.check(batch));
  }

  forgetOthers(batches: ReadonlySet<string>): void {
    for (const key of this.#searches.keys()) {
      if (!batches.has(key.slice(0, key.indexOf(' ')))) this.#searches.delete(key);
    }
  }

  /** The next items of a lane, whether they were handed over or not. */
  async #endLane(batch: Batch, lane: Lane): Promise<void> {
    const { ledger, monotonicMs } = this.#parts;
    const key = `${batch.id} ${lane.instanceId}`;
    const last = this.#searches.get(key) ?? { from: 0, sinceMs: monotonicMs() };
    let { from } = last;
    for (let round = 0; round < CHUNKS_A_ROUND; round += 1) {
      const page = await lanePage(this.#parts, batch, lane, from, CHUNK_ITEMS);
      if (page === undefined) break;
      await this.#end(batch, await this.#uncalled(batch, page.items ?? []));
      from = page.next;
    }
    const isOver = from === last.from && monotonicMs() - last.sinceMs >= AGAIN_MS;
    const next = isOver ? chunkOf(await ledger.items.nextOpen(batch.id, 0)) * CHUNK_ITEMS : from;
    this.#searches.set(key, { from: next, sinceMs: next === last.from ? last.sinceMs : monotonicMs() });
    // What is cancelled needs no feeding, and what is not is found as lost only below the cursor.
    if (lane.cursor < from)
      await ledger.lanes.advance(batch.id, lane, from, await this.#countBetween(batch, lane, from));
  }

  async #endDirect(batch: Batch): Promise<void> {
    const { ledger } = this.#parts;
    const jobs = await ledger.direct.jobs(batch.id);
    const open = [...jobs].map(([key, n]) => ({ n, key }));
    for (let at = 0; at < open.length; at += CHUNK_ITEMS) {
      await this.#end(batch, await this.#uncalled(batch, open.slice(at, at + CHUNK_ITEMS)));
    }
  }

  /** Of a chunk that Redis lacks, nobody can say what its items are: all are cancelled. The first open chunk has its turn. */
  async #endUnreadable(batch: Batch): Promise<void> {
    const { ledger, chunks } = this.#parts;
    const chunk = chunkOf(await ledger.items.nextOpen(batch.id, 0));
    const first = chunk * CHUNK_ITEMS;
    const size = Math.min(CHUNK_ITEMS, batch.counts.accepted - first);
    if (size <= 0 || (await chunks.chunk(batch.id, chunk)) !== undefined) return;
    const all = Array.from({ length: size }, (_, position) => ({ n: first + position }));
    await this.#end(batch, all, true);
  }

  async #end(batch: Batch, items: readonly CancelledItem[], evenIfCalled = false): Promise<void> {
    const { ledger, chunks, tell } = this.#parts;
    const ended = await ledger.items.cancel(batch.id, items, evenIfCalled);
    for (const [at, { n, outcome }] of ended.entries()) {
      const certificate = await chunks.certificate(batch.id, n).catch(() => undefined);
      tell({
        kind: 'item-cancelled',
        batch: batch.id,
        n,
        outcome,
        action: batch.action,
        ...(certificate !== undefined && { certificate }),
      });
      if ((at + 1) % TOLD_AT_ONCE === 0) await turn();
    }
  }

  /** What an older version noted a call of is taken over first. */
  async #uncalled<T extends Pick<OpenItem, 'n'>>(batch: Batch, items: readonly T[]): Promise<readonly T[]> {
    const { ledger } = this.#parts;
    if (batch.layout >= 3) return items;
    const noted = await ledger.former.areNoted(
      batch.id,
      items.map(({ n }) => n),
    );
    return items.filter((_, at) => noted[at] !== true);
  }

  async #countBetween(batch: Batch, lane: Lane, to: number): Promise<number> {
    let count = 0;
    for (let cursor = lane.cursor; cursor < to;) {
      const page = await lanePage(this.#parts, batch, lane, cursor, CHUNK_ITEMS);
      if (page === undefined) break;
      count += page.count;
      cursor = page.next;
    }
    return count;
  }
}
