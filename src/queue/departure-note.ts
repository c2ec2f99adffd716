import type { Departure } from '../ledger/ledger.ts';

/** A note that is older may have been overtaken: by another run that ended the item or has the job, or by a retry that took the note back. */
const GOOD_FOR_MS = 1_000;

/**
 * The note in the ledger that one call of an item is about to leave. It is begun when the item's slot is near, since a slot that waits for Redis may
 * end meanwhile.
 */
export class DepartureNote {
  readonly #depart: () => Promise<Departure>;
  #begun: { readonly atMs: number; readonly departure: Promise<Departure> } | undefined;

  constructor(depart: () => Promise<Departure>) {
    this.#depart = depart;
  }

  /** Begins it, unless that was done within the last second; resolves when Redis has it. @throws the client's error: then no call may leave */
  made(): Promise<Departure> {
    const nowMs = performance.now();
    if (this.#begun === undefined || nowMs - this.#begun.atMs > GOOD_FOR_MS) {
      const departure = this.#depart();
      // Whoever waits for it hears of its failure; nobody may.
      departure.catch(() => undefined);
      this.#begun = { atMs: nowMs, departure };
    }
    return this.#begun.departure;
  }
}
