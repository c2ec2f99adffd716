import type { Action } from '../core/action.ts';
import type { BatchState } from '../core/batch.ts';
import type { Batch, Priority } from '../ledger/batch-record.ts';
import type { Ledger } from '../ledger/ledger.ts';

/** What a processor must know of a batch before each call. */
export interface BatchGate {
  readonly action: Action;
  readonly state: BatchState;
  readonly accepted: number;
  readonly priority: Priority;
  readonly retirement?: Batch['retirement'];
  /** Of the version that wrote it; 1 where that wrote none. */
  readonly layout: number;
}

/** How long a batch's state is good for once read. A change is noticed sooner, through the signals counter. */
const FRESH_MS = 1_000;
const FORGET_ABOVE = 1_000;

/** Remembers the states of batches for a moment, so that a call costs no question of its own. */
export class BatchStateCache {
  readonly #ledger: Pick<Ledger, 'batches'>;
  readonly #monotonicMs: () => number;
  readonly #seen = new Map<string, { readonly atMs: number; readonly gate: Promise<BatchGate | undefined> }>();

  constructor(ledger: Pick<Ledger, 'batches'>, monotonicMs: () => number = () => performance.now()) {
    this.#ledger = ledger;
    this.#monotonicMs = monotonicMs;
  }

  /** Something changed: read every batch again. */
  forget(): void {
    this.#seen.clear();
  }

  /** At most a second old; undefined when there is no such batch. */
  async of(batch: string): Promise<BatchGate | undefined> {
    const nowMs = this.#monotonicMs();
    const known = this.#seen.get(batch);
    // Judged when it is used, so a stalled process does not act on what it knew before the stall.
    if (known !== undefined && nowMs - known.atMs < FRESH_MS) {
      const gate = await known.gate;
      // One that was not there may have come since, and what names it came after it.
      if (gate !== undefined) return gate;
    }
    if (this.#seen.size >= FORGET_ABOVE) this.#seen.clear();
    const gate = this.#read(batch);
    this.#seen.set(batch, { atMs: nowMs, gate });
    gate.catch(() => this.#seen.delete(batch));
    return gate;
  }

  async #read(batch: string): Promise<BatchGate | undefined> {
    const found = await this.#ledger.batches.find(batch);
    return found === undefined ? undefined : { ...found, accepted: found.counts.accepted };
  }
}
