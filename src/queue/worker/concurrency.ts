/** How many items a worker process has in hand at once: enough to use the pace at the latency seen, and no more. */
export const MIN_CONCURRENCY = 50;
/** Sockets and memory are bounded by it: with answers that take 2 s it still carries 500 calls a second. */
export const MAX_CONCURRENCY = 1_000;

/** Items that wait for the next slots while others are under way, as seconds of the pace. */
const READY_SECONDS = 0.15;
/** Weight of a new latency in the running mean. */
const WEIGHT = 0.05;
/** Weight of a new block in the running mean. */
const BLOCK_WEIGHT = 0.2;
const SPARE = 1.5;
/** A block is in hand until the slowest of its answers: of fifty, about the one that a fiftieth of all is slower than. */
const SLOW_SHARE = 1 / 50;
/** How far one answer moves what is known of the slow ones, as a part of it. */
const SLOW_STEP = 0.1;

/** Follows the latency of calls and the size of blocks, and says how many items and blocks to have in hand. */
export class ConcurrencyTarget {
  readonly #qps: number;
  #meanMs = 50;
  #meanItems = 50;
  #slowMs = 50;

  /** @param qps - the most calls a second this process could make */
  constructor(qps: number) {
    this.#qps = qps;
  }

  observe(latencyMs: number): void {
    this.#meanMs += (latencyMs - this.#meanMs) * WEIGHT;
    // It settles where a fiftieth of the answers is slower: one of those moves it up by as much as 49 others move it down.
    this.#slowMs = Math.max(1, this.#slowMs * (1 + SLOW_STEP * ((latencyMs > this.#slowMs ? 1 : 0) - SLOW_SHARE)));
  }

  observeBlock(items: number): void {
    this.#meanItems += (Math.max(1, items) - this.#meanItems) * BLOCK_WEIGHT;
  }

  /** What the items need, and by Little's law those blocks that wait for the slowest of their answers, at least one. */
  get blocks(): number {
    const most = Math.ceil(MAX_CONCURRENCY / this.#meanItems);
    const drained = Math.ceil(((this.#qps / this.#meanItems) * this.#slowMs) / 1_000);
    return Math.ceil(this.items / this.#meanItems) + Math.min(most, Math.max(1, drained));
  }

  /** Little's law, with some to spare: calls under way = pace times latency. */
  get items(): number {
    const underWay = (this.#qps * this.#meanMs * SPARE) / 1_000;
    return Math.min(MAX_CONCURRENCY, Math.max(MIN_CONCURRENCY, Math.ceil(underWay + this.#qps * READY_SECONDS)));
  }
}
