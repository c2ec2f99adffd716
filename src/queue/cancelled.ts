import type { Batch } from '../ledger/batch-record.ts';
import { CHUNK_ITEMS, chunkOf } from '../ledger/chunk.ts';
import { reopenedItemsFed } from '../ledger/dead-letters.ts';
import { STANDING_PREFIX, type Lane } from '../ledger/ledger.ts';
import { asKnown, lanePage, retriedItems } from './items-to-feed.ts';
import type { LostJobs, LostJobsParts } from './lost-jobs.ts';
import type { LostLanes } from './lost-lanes.ts';
import type { ItemToFeed } from './revoke-queue.ts';

/** Other processes have heard of a cancellation by then (they look at a batch at least once a second). */
const HEARD_MS = 3_000;

/** Ends the items of cancelled batches that no job ends. */
export class CancelledBatches {
  readonly #parts: LostJobsParts;
  readonly #lost: LostJobs;
  readonly #lostLanes: LostLanes;
  readonly #seenSince = new Map<string, number>();

  constructor(parts: LostJobsParts, lost: LostJobs, lostLanes: LostLanes) {
    this.#parts = parts;
    this.#lost = lost;
    this.#lostLanes = lostLanes;
  }

  /** One step; the feeder takes one in each round, until nothing pends. */
  async sweep(batch: Batch): Promise<void> {
    const { redis, ledger, owns, monotonicMs } = this.#parts;
    const since = this.#seenSince.get(batch.id) ?? monotonicMs();
    this.#seenSince.set(batch.id, since);
    if (monotonicMs() - since < HEARD_MS) return;
    const isStanding = batch.id.startsWith(STANDING_PREFIX);
    const retried = await retriedItems(this.#parts, batch, ({ instanceId }) => isStanding || owns(instanceId));
    await this.#end(batch, retried);
    await reopenedItemsFed(redis, ledger, batch.id, retried);
    const lanes = await this.#lostLanes.lanesOf(batch);
    if (lanes === undefined) return;
    for (const lane of lanes) if (owns(lane.instanceId)) await this.#endLane(batch, lane);
    if (!isStanding) await this.#endUnreadable(batch);
    await this.#end(batch, await this.#lost.look(batch));
  }

  forgetOthers(batches: ReadonlySet<string>): void {
    for (const id of this.#seenSince.keys()) if (!batches.has(id)) this.#seenSince.delete(id);
  }

  /** The next items that were never handed over, but for those that a feeder handed over before it died, without noting it. */
  async #endLane(batch: Batch, lane: Lane): Promise<void> {
    const page = await lanePage(this.#parts, batch, lane, lane.cursor, CHUNK_ITEMS);
    if (page === undefined) return;
    await this.#end(batch, page.items ?? []);
    await this.#parts.ledger.advance(batch.id, lane, page.next, page.count);
  }

  /** Of a chunk that Redis lacks, nobody can say what its items are: all that have no job here are cancelled. The first open chunk has its turn. */
  async #endUnreadable(batch: Batch): Promise<void> {
    const { ledger, chunks } = this.#parts;
    const chunk = chunkOf(await ledger.nextOpen(batch.id, 0));
    const first = chunk * CHUNK_ITEMS;
    const size = Math.min(CHUNK_ITEMS, batch.counts.accepted - first);
    if (size <= 0 || (await chunks.chunk(batch.id, chunk)) !== undefined) return;
    const all = Array.from({ length: size }, (_, position) => ({ batch: batch.id, n: first + position }));
    await this.#cancel(batch, await asKnown(this.#parts, batch.id, all), true);
  }

  /** Leaves to its job what has one, follows to its end what may have been called for, and cancels the rest. */
  async #end(batch: Batch, items: readonly ItemToFeed[]): Promise<void> {
    const { queue } = this.#parts;
    const known = await asKnown(this.#parts, batch.id, items);
    const called = known.filter(({ departed }) => departed);
    const isHeld = await queue.holds(called);
    await queue.feed(
      called.filter((_, at) => isHeld[at] !== true),
      batch.priority,
    );
    await this.#cancel(batch, known);
  }

  /** What has a job, or a call that was noted, stays: the script looks. */
  async #cancel(batch: Batch, items: readonly Omit<ItemToFeed, 'certificate'>[], evenIfCalled = false): Promise<void> {
    const { ledger, queue } = this.#parts;
    const jobless = items.map((item) => ({
      n: item.n,
      jobKeys: queue.jobKeysOf(item),
      ...(item.key !== undefined && { key: item.key }),
    }));
    await ledger.cancelItems(batch.id, jobless, evenIfCalled);
  }
}
