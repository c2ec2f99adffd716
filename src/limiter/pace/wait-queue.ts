import type { CallRequest } from '../contract.ts';

/** Probes go before urgent callers, these before the others; within each, first come, first served. */
export const RANKS = ['probe', 'urgent', 'bulk'] as const;
export type Rank = (typeof RANKS)[number];
export const NOT_TO_PROBE: readonly Rank[] = ['urgent', 'bulk'];

/** A caller that waits for a slot. */
export interface Caller<Call> {
  readonly request: CallRequest<Call>;
  readonly rank: Rank;
}

/** The callers that wait for a slot, in the order in which they get one. */
export class WaitQueue<Waiting extends { readonly rank: Rank }> {
  readonly #callers: Record<Rank, Waiting[]> = { probe: [], urgent: [], bulk: [] };

  get size(): number {
    return RANKS.reduce((sum, rank) => sum + this.#callers[rank].length, 0);
  }

  push(caller: Waiting): void {
    this.#callers[caller.rank].push(caller);
  }

  /** They had been taken, and go before all others of their rank, in their order. */
  putBack(callers: readonly Waiting[]): void {
    for (const rank of RANKS) {
      const back = callers.filter((caller) => caller.rank === rank);
      if (back.length > 0) this.#callers[rank] = [...back, ...this.#callers[rank]];
    }
  }

  /** The first of the queue, no longer in it. */
  take(most: number): Waiting[] {
    const taken: Waiting[] = [];
    for (const rank of RANKS) {
      if (taken.length >= most) break;
      taken.push(...this.#callers[rank].splice(0, most - taken.length));
    }
    return taken;
  }

  /** Takes out the callers of these ranks; callers that are to probe stay unless that is asked for. */
  takeIf(is: (caller: Waiting) => boolean, ranks: readonly Rank[] = NOT_TO_PROBE): Waiting[] {
    const taken: Waiting[] = [];
    for (const rank of ranks) {
      taken.push(...this.#callers[rank].filter(is));
      this.#callers[rank] = this.#callers[rank].filter((caller) => !is(caller));
    }
    return taken;
  }
}
