import { pendingOf, type BreakerPolicy } from '../../core/batch.ts';
import type { Batch } from '../../ledger/batch-record.ts';
import { CHUNK_ITEMS, chunkOf } from '../../ledger/chunk.ts';
import { directBatchOf, isDirectBatch } from '../../ledger/direct-items.ts';
import type { Lane } from '../../ledger/lanes.ts';
import { inTurn, type MayGoOn } from '../lease.ts';
import { isInRamp, judgeBatch, pauseReason } from './breaker.ts';
import { CancelledBatches, type ItemCancelled } from './cancelled.ts';
import { DirectBreaker, type BatchPaused } from './direct-breaker.ts';
import { BLOCK_ITEMS, chunkMissing, lanePage, type FeedSource } from './lane-page.ts';
import { LostItems, type ItemsLost } from './lost-items.ts';
import { LostLanes, type LanesLost } from './lost-lanes.ts';
import { Phases, type PhaseBegun } from './phases.ts';

export type FeederEvent =
  | BatchPaused
  | ItemCancelled
  | ItemsLost
  | LanesLost
  | PhaseBegun
  /** With one batch; the others continue. */
  | { readonly kind: 'trouble'; readonly during: string; readonly error: Error };

export interface FeederParts extends FeedSource {
  readonly account: { readonly name: string; readonly instances: readonly string[] };
  /** Items each queue of blocks may hold ready: about ten seconds of work. */
  readonly lowWater: number;
  readonly breaker: BreakerPolicy;
  /** Whether the account has the instance, and no halt is on it. */
  readonly mayFeed: (instanceId: string) => boolean;
  /** Whether the account has the instance, halted or not. */
  readonly owns: (instanceId: string) => boolean;
  /** Whether this process is still the one that feeds the account. */
  readonly mayGoOn: MayGoOn;
  readonly monotonicMs: () => number;
  readonly tell: (event: FeederEvent) => void;
}

/** Bulk items are fed when this share of the low-water mark is free, so that feeding is done in few large steps. */
const REFILL_SHARE = 0.1;
/** Items that wait (retries, halts) before nothing more is fed, as a multiple of the mark. */
const WAITING_FACTOR = 10;
/** Weight of new blocks in the running mean of their size. */
const SIZE_WEIGHT = 0.2;
/** A batch that was in trouble is left alone for this long. */
const TROUBLE_MS = 1_000;

const NO_ROOM = { urgent: 0, bulk: 0 };

/** Another process has the turn, or has fed since this round began: what was read for it no longer holds. */
class Overtaken extends Error {}

/**
 * Hands items of running batches to the account's queue, never more than the low-water mark, urgent batches first.
 * Only the process that holds the account's lease feeds. Should two overlap, the ids of blocks and the ledger's notes make a second handing over harmless, and each write
 * holds only where nobody has changed what it rests on.
 */
export class Feeder {
  readonly #parts: FeederParts;
  readonly #lost: LostItems;
  readonly #lostLanes: LostLanes;
  readonly #cancelled: CancelledBatches;
  readonly #direct: DirectBreaker;
  readonly #phases: Phases;
  readonly #troubledUntil = new Map<string, number>();
  /** Items in a block: fewer than a block may hold where many instances share the chunks. */
  #meanItems = BLOCK_ITEMS;

  constructor(parts: FeederParts) {
    this.#parts = parts;
    this.#lost = new LostItems(parts);
    this.#lostLanes = new LostLanes(parts);
    this.#cancelled = new CancelledBatches(parts, this.#lost, this.#lostLanes);
    this.#direct = new DirectBreaker(parts);
    this.#phases = new Phases(parts);
  }

  /** One round. @returns items fed */
  async feed(): Promise<number> {
    const { ledger, monotonicMs, tell } = this.#parts;
    await this.#direct.check();
    const batches = await ledger.batches.active();
    this.#forgetOthers(batches);
    if (batches.length === 0) return 0;
    const room = batches.some(({ state }) => state === 'running') ? await this.#room() : { ...NO_ROOM };
    let fed = 0;
    for (const batch of batches) {
      if (this.#isOfAnother(batch) || monotonicMs() < (this.#troubledUntil.get(batch.id) ?? 0)) continue;
      try {
        if (batch.state === 'cancelled') await this.#cancelled.sweep(batch);
        else if (batch.state === 'running' && (await this.#phases.mayFeed(batch, pendingOf(batch.counts)))) {
          const now = await this.#feedBatch(batch, room[batch.priority]);
          room[batch.priority] -= now;
          fed += now;
        }
      } catch (error) {
        if (error instanceof Overtaken) break;
        this.#troubledUntil.set(batch.id, monotonicMs() + TROUBLE_MS);
        const cause = error instanceof Error ? error : new Error(String(error));
        tell({ kind: 'trouble', during: `feeding batch ${batch.id}`, error: cause });
      }
    }
    return fed;
  }

  /** How many items each queue has room for. */
  async #room(): Promise<Record<Batch['priority'], number>> {
    const { ledger, queues, account, lowWater } = this.#parts;
    const [ready, waiting] = await Promise.all([queues.readyBlocks(), ledger.waiting.counts(account.instances)]);
    if (waiting.reduce((sum, count) => sum + count, 0) >= lowWater * WAITING_FACTOR) return { ...NO_ROOM };
    const room = (blocks: number): number => Math.max(0, lowWater - Math.ceil(blocks * this.#meanItems));
    const bulk = room(ready.bulk);
    return { urgent: room(ready.urgent), bulk: bulk >= Math.max(1, lowWater * REFILL_SHARE) ? bulk : 0 };
  }

  async #feedBatch(batch: Batch, room: number): Promise<number> {
    const { redis, ledger, breaker, owns, mayGoOn } = this.#parts;
    const lanes = await this.#lostLanes.lanesOf(batch);
    if (lanes === undefined) return 0;
    if (!isInRamp(batch, breaker)) return this.#feedStep(batch, lanes, room, mayGoOn);
    const isShared = lanes.some(({ instanceId }) => !owns(instanceId));
    if (!isShared) return this.#feedRamp(batch.id, room, mayGoOn);
    return inTurn(redis, ledger.keys.of(batch.id).turn, (isMyTurn) => this.#feedRamp(batch.id, room, isMyTurn));
  }

  async #feedRamp(id: string, room: number, mayGoOn: MayGoOn): Promise<number> {
    const { ledger } = this.#parts;
    // In this order: a cursor that another process moves in between is refused, a count that is too old would exceed the step.
    const lanes = await ledger.lanes.of(id);
    const batch = await ledger.batches.find(id);
    return batch?.state === 'running' ? this.#feedStep(batch, lanes, room, mayGoOn) : 0;
  }

  async #feedStep(batch: Batch, lanes: readonly Lane[], room: number, mayGoOn: MayGoOn): Promise<number> {
    const { ledger, breaker } = this.#parts;
    // Without any cursor Redis has lost them, and feeding begins again.
    const noted = lanes.some(({ cursor }) => cursor > 0) ? batch.fed : 0;
    const fedNow = isInRamp(batch, breaker) ? noted - (await this.#held(batch, lanes)) : noted;
    const verdict = judgeBatch({ ...batch, fed: fedNow }, breaker);
    if (verdict.kind === 'pause') {
      const change = await ledger.batches.change(batch.id, 'pause', {
        event: 'breaker-pause',
        pausedBecause: pauseReason(batch.id, verdict),
        resumes: batch.resumes,
      });
      if (change.kind !== 'changed') return 0;
      this.#parts.tell({ kind: 'batch-paused', batch: batch.id, settled: verdict.settled, dead: verdict.dead });
      return 0;
    }
    let fed = 0;
    let ofStep = verdict.upTo - fedNow;
    for (const lane of lanes) {
      const left = Math.min(room - fed, ofStep);
      if (left <= 0 || !this.#parts.mayFeed(lane.instanceId)) continue;
      const ofLane = await this.#feedLane(batch, lane, left, mayGoOn);
      fed += ofLane;
      ofStep -= ofLane;
    }
    if (fed > 0) this.#lost.isFed(batch.id);
    else await this.#lost.park(batch, await this.#lost.check(batch));
    return fed;
  }

  /** Items that wait for the end of a halt: a step of the ramp does not wait for them. */
  async #held(batch: Batch, lanes: readonly Lane[]): Promise<number> {
    const { owns, mayFeed } = this.#parts;
    let held = 0;
    for (const lane of lanes) {
      if (!owns(lane.instanceId) || mayFeed(lane.instanceId)) continue;
      for (let cursor = 0; cursor < lane.cursor;) {
        const page = await lanePage(this.#parts, batch, lane, cursor, CHUNK_ITEMS);
        if (page === undefined) break;
        held += (page.items ?? []).filter(({ n }) => n < lane.cursor).length;
        cursor = page.next;
      }
    }
    return held;
  }

  async #feedLane(batch: Batch, lane: Lane, atMost: number, mayGoOn: MayGoOn): Promise<number> {
    const { ledger, queues } = this.#parts;
    let { cursor } = lane;
    let fed = 0;
    while (fed < atMost) {
      const page = await lanePage(this.#parts, batch, lane, cursor, atMost - fed);
      if (page === undefined) break;
      if (page.items === undefined) throw chunkMissing(batch.id, chunkOf(page.next - 1));
      if (!(await mayGoOn())) throw new Overtaken();
      await queues.addBlocks(page.blocks, batch.priority);
      if (page.blocks.length > 0) {
        this.#meanItems += (page.items.length / page.blocks.length - this.#meanItems) * SIZE_WEIGHT;
      }
      // After the blocks: a crash in between adds them again under the same ids, and loses none.
      const isNoted = await ledger.lanes.advance(batch.id, { ...lane, cursor }, page.next, page.count);
      if (!isNoted) throw new Overtaken();
      ({ next: cursor } = page);
      fed += page.count;
    }
    return fed;
  }

  /** Another account's direct batch. */
  #isOfAnother({ id }: Batch): boolean {
    return isDirectBatch(id) && id !== directBatchOf(this.#parts.account.name);
  }

  #forgetOthers(batches: readonly Batch[]): void {
    const ids = new Set(batches.map(({ id }) => id));
    this.#lost.forgetOthers(ids);
    this.#lostLanes.forgetOthers(ids);
    this.#cancelled.forgetOthers(ids);
    this.#phases.forgetOthers(ids);
    for (const id of this.#troubledUntil.keys()) if (!ids.has(id)) this.#troubledUntil.delete(id);
  }
}
