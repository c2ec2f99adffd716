import type { Redis } from 'ioredis';
import type { ChunkReader } from '../../ledger/chunk-reader.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import type { Claim } from '../../ledger/waiting.ts';
import type { BatchStateCache } from '../batch-state-cache.ts';
import type { Item } from '../process/item.ts';
import { resolveClaim } from '../process/resolve-claim.ts';

/** How long a claim is good for before its call is noted, and again from then on: an item of a killed process continues after at most this. */
export const CLAIM_MS = 15_000;
/** While nothing waits, the place is read this often; */
const IDLE_MS = 500;
/** and while something does, no more often. */
const LEAST_MS = 100;

export interface WaitingItemsParts {
  readonly redis: Redis;
  readonly ledger: Pick<Ledger, 'retirements' | 'waiting'>;
  readonly chunks: ChunkReader;
  readonly states: BatchStateCache;
  readonly instances: readonly string[];
  /** How many items of the instance this process could work on at once. */
  readonly room: (instanceId: string) => number;
  readonly run: (item: Item) => Promise<unknown>;
  readonly tell: (event: { readonly kind: 'trouble'; readonly during: string; readonly error: Error }) => void;
}

/** Takes items whose time to wait has passed, and has them processed. One timer serves all that wait. */
export class WaitingItems {
  readonly #parts: WaitingItemsParts;
  readonly #inHand = new Set<Promise<unknown>>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(parts: WaitingItemsParts) {
    this.#parts = parts;
    this.#timer = setTimeout(() => void this.#poll(), 0);
  }

  /** Items taken and not ended. */
  get inHand(): number {
    return this.#inHand.size;
  }

  /** Takes no more, and waits for those in hand. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await Promise.all(this.#inHand);
  }

  async #poll(): Promise<void> {
    let nextMs = IDLE_MS;
    try {
      nextMs = await this.#take();
    } catch (error) {
      const cause = error instanceof Error ? error : new Error(String(error));
      this.#parts.tell({ kind: 'trouble', during: 'taking waiting items', error: cause });
    }
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => void this.#poll(), nextMs);
  }

  /** @returns when to read the place again */
  async #take(): Promise<number> {
    const { redis, ledger, instances, room } = this.#parts;
    if (redis.status !== 'ready') return IDLE_MS;
    const most = new Map(
      instances.map((instanceId) => [instanceId, room(instanceId)] as const).filter(([, count]) => count > 0),
    );
    const { claims, nextInMs = IDLE_MS } = await ledger.waiting.claim(most, CLAIM_MS);
    // A claim that cannot be worked on, since Redis has lost the item, comes back when its time has passed.
    for (const claim of claims) void this.#begin(claim);
    return Math.min(IDLE_MS, Math.max(LEAST_MS, nextInMs));
  }

  async #begin(claim: Claim): Promise<void> {
    const work = this.#work(claim).catch((error: unknown) => {
      const cause = error instanceof Error ? error : new Error(String(error));
      this.#parts.tell({ kind: 'trouble', during: `working on item ${claim.n} of batch ${claim.batch}`, error: cause });
    });
    this.#inHand.add(work);
    await work;
    this.#inHand.delete(work);
  }

  async #work(claim: Claim): Promise<void> {
    const item = await resolveClaim(this.#parts, claim);
    if (item !== undefined) await this.#parts.run(item);
  }
}
