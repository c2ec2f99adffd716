import type { Noted } from '../core/decide.ts';
import type { Departure } from '../ledger/ledger.ts';

/** A note that is older may have been overtaken: by another run that ended the item or has the job, or by a retry that took the note back. */
const GOOD_FOR_MS = 1_000;

/**
 * The notes of one run in the ledger that calls of its item are about to leave. Each is begun when the item's slot is near, since a slot that waits
 * for Redis may end meanwhile.
 */
export class DepartureNote {
  readonly #depart: () => Promise<Departure>;
  #begun: { readonly atMs: number; readonly departure: Promise<Departure> } | undefined;
  /** What the ledger knew before this run's first note. */
  #before: Noted | undefined;

  constructor(depart: () => Promise<Departure>) {
    this.#depart = depart;
  }

  /** Begins it, unless that was done within the last second; resolves when Redis has it. @throws the client's error: then no call may leave */
  made(): Promise<Departure> {
    const nowMs = performance.now();
    if (this.#begun === undefined || nowMs - this.#begun.atMs > GOOD_FOR_MS) {
      const departure = this.#make();
      // The caller who waits for it hears of its failure; there may be none.
      departure.catch(() => undefined);
      this.#begun = { atMs: nowMs, departure };
    }
    return this.#begun.departure;
  }

  /** The next call needs one of its own. */
  renew(): void {
    this.#begun = undefined;
  }

  /** What the ledger knew before this run's first note, once it has answered what is under way; undefined where it has none of this run. */
  async before(): Promise<Noted | undefined> {
    await this.#begun?.departure.catch(() => undefined);
    return this.#before;
  }

  async #make(): Promise<Departure> {
    const departure = await this.#depart();
    if (departure !== 'none' && departure !== 'told' && departure !== 'untold') return departure;
    // The run's own earlier note hides what was there before it.
    if (departure !== 'told' || this.#before === undefined) this.#before = departure;
    return this.#before;
  }
}
