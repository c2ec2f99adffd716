import type { Departure, Ledger } from '../ledger/ledger.ts';

/** A note that is older may have been overtaken: by another run that ended the item, and by a retry that took the note back. */
const GOOD_FOR_MS = 1_000;

/**
 * Notes in the ledger that an item's call is about to leave. It is begun when the item's slot is near, since a slot that waits for Redis may end
 * meanwhile.
 */
export class DepartureNote {
  readonly #ledger: Pick<Ledger, 'depart'>;
  readonly #item: { readonly batch: string; readonly n: number };
  #begun: { readonly atMs: number; readonly departure: Promise<Departure> } | undefined;

  constructor(ledger: Pick<Ledger, 'depart'>, item: { readonly batch: string; readonly n: number }) {
    this.#ledger = ledger;
    this.#item = item;
  }

  /** Begins it, unless that was done within the last second; resolves when Redis has it. @throws the client's error: then no call may leave */
  made(): Promise<Departure> {
    const nowMs = performance.now();
    if (this.#begun === undefined || nowMs - this.#begun.atMs > GOOD_FOR_MS) {
      const departure = this.#ledger.depart(this.#item.batch, this.#item.n);
      // Whoever waits for it hears of its failure; nobody may.
      departure.catch(() => undefined);
      this.#begun = { atMs: nowMs, departure };
    }
    return this.#begun.departure;
  }
}
