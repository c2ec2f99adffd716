import { slotsPerPulse } from '../../core/pace.ts';

/** How many pulses a late process may make up for: as much as Redis gives ahead. */
const PULSES_MADE_UP = 3;

/** As many slots as this can be asked for in any case: what the cloud's paces need in three pulses. */
const LEAST_ASKED = 36;
/** Without a loss, more is asked for each time. */
const GROWTH = 1.25;

/**
 * How many slots a process can use in a pulse: those that end unused are lost to the others, too, and each costs a note that must be taken back. Only
 * paces that no cloud allows are held back by it.
 */
export class SlotAppetite {
  #slots = Number.POSITIVE_INFINITY;
  #used = 0;
  #ended = 0;

  /** How many may be asked for now. */
  next(): number {
    if (this.#ended > 0) this.#slots = this.#used;
    else this.#slots *= GROWTH;
    this.#slots = Math.max(LEAST_ASKED, this.#slots);
    this.#used = 0;
    this.#ended = 0;
    return Math.floor(this.#slots);
  }

  /** So many were used since the last pulse. */
  used(count: number): void {
    this.#used += count;
  }

  /** So many ended unused. */
  ended(count: number): void {
    this.#ended += count;
  }

  /** One was used, and its call came too late to the wire. */
  late(): void {
    this.#used -= 1;
    this.#ended += 1;
  }
}

/**
 * What a process may ask for, whatever Redis would give: its pace times the time, so that it cannot go over that even where Redis is wrong. A
 * fixed number a pulse would lose pace with each pulse that a busy machine delays.
 */
export class SlotCredit {
  readonly #qps: number;
  readonly #most: number;
  #slots: number;
  #atMs: number | undefined;

  constructor(qps: number) {
    this.#qps = qps;
    this.#most = PULSES_MADE_UP * slotsPerPulse(qps);
    this.#slots = this.#most;
  }

  /** Whole slots that may be asked for. */
  at(nowMs: number): number {
    const earned = (this.#qps * (nowMs - (this.#atMs ?? nowMs))) / 1000;
    this.#slots = Math.min(this.#most, this.#slots + earned);
    this.#atMs = nowMs;
    return Math.floor(this.#slots);
  }

  /** Until there is a whole slot, milliseconds. */
  get waitMs(): number {
    return (Math.max(0, 1 - this.#slots) / this.#qps) * 1000;
  }

  spend(slots: number): void {
    this.#slots -= slots;
  }
}
