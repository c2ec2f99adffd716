import type { BatchState } from '../core/batch.ts';
import type { Ledger } from '../ledger/ledger.ts';

/** What a processor must know of a batch before each call. */
export interface BatchGate {
  readonly state: BatchState;
  readonly accepted: number;
}

/** How long a look at a batch is good for. A change is heard sooner, through the signals counter. */
const FRESH_MS = 1_000;
const FORGET_ABOVE = 1_000;

/** Remembers the states of batches for a moment, so that a call costs no question of its own. */
export class BatchStates {
  readonly #ledger: Ledger;
  readonly #monotonicMs: () => number;
  readonly #seen = new Map<string, { readonly atMs: number; readonly gate: Promise<BatchGate | undefined> }>();

  constructor(ledger: Ledger, monotonicMs: () => number = () => performance.now()) {
    this.#ledger = ledger;
    this.#monotonicMs = monotonicMs;
  }

  /** Something changed: look at every batch anew. */
  forget(): void {
    this.#seen.clear();
  }

  /** At most a second old; undefined when there is no such batch. */
  async of(batch: string): Promise<BatchGate | undefined> {
    const nowMs = this.#monotonicMs();
    const known = this.#seen.get(batch);
    // Judged when it is used, so a stalled process does not act on what it knew before the stall.
    if (known !== undefined && nowMs - known.atMs < FRESH_MS) return known.gate;
    if (this.#seen.size >= FORGET_ABOVE) this.#seen.clear();
    const gate = this.#look(batch);
    this.#seen.set(batch, { atMs: nowMs, gate });
    gate.catch(() => this.#seen.delete(batch));
    return gate;
  }

  async #look(batch: string): Promise<BatchGate | undefined> {
    const found = await this.#ledger.batch(batch);
    return found === undefined ? undefined : { state: found.state, accepted: found.counts.accepted };
  }
}
