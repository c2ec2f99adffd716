/** Probes go before urgent callers, these before the others; within each, first come, first served. */
export const RANKS = ['probe', 'urgent', 'bulk'] as const;
export type Rank = (typeof RANKS)[number];

/** The callers that wait for a slot, in the order in which they get one. */
export class WaitQueue<Caller extends { readonly rank: Rank }> {
  readonly #callers: Record<Rank, Caller[]> = { probe: [], urgent: [], bulk: [] };

  get size(): number {
    return RANKS.reduce((sum, rank) => sum + this.#callers[rank].length, 0);
  }

  push(caller: Caller): void {
    this.#callers[caller.rank].push(caller);
  }

  /** They had been taken, and go before all others of their rank, in their order. */
  putBack(callers: readonly Caller[]): void {
    for (const rank of RANKS) {
      const back = callers.filter((caller) => caller.rank === rank);
      if (back.length > 0) this.#callers[rank] = [...back, ...this.#callers[rank]];
    }
  }

  /** The first of the queue, no longer in it. */
  take(most: number): Caller[] {
    const taken: Caller[] = [];
    for (const rank of RANKS) {
      if (taken.length >= most) break;
      taken.push(...this.#callers[rank].splice(0, most - taken.length));
    }
    return taken;
  }

  /** Takes out all who are not to probe and of whom it holds. */
  takeIf(is: (caller: Caller) => boolean): Caller[] {
    const taken: Caller[] = [];
    for (const rank of ['urgent', 'bulk'] as const) {
      taken.push(...this.#callers[rank].filter(is));
      this.#callers[rank] = this.#callers[rank].filter((caller) => !is(caller));
    }
    return taken;
  }
}
