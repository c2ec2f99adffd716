import { SHORTEST_SLOT_MS, type Slot } from './pace-store.ts';

/**
 * A slot is near so long before its moment, milliseconds: time enough for a round trip to Redis, also on a busy machine, and so short that few
 * slots are near at once.
 */
export const NEAR_MS = 15;

/** The slots a process has in hand, one timer for all. Where the process stalls past a slot's end, the slot is void. */
export class SlotShelf {
  readonly #onDue: () => void;
  /** By `fromMs`; those before `#first` are gone. */
  #slots: Slot[] = [];
  #first = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param onDue - a slot's moment has come, or is near, after `arm` */
  constructor(onDue: () => void) {
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#slots.length - this.#first;
  }

  put(slots: readonly Slot[]): void {
    if (slots.length === 0) return;
    // It may be set for a later slot.
    this.disarm();
    this.#slots = [...this.#slots.slice(this.#first), ...slots];
    this.#first = 0;
    // Each answer places its slots by its own round trip, so a quicker one's may come before those in hand.
    this.#slots.sort((a, b) => a.fromMs - b.fromMs);
  }

  /** The next slot whose moment has come and not passed. */
  takeDue(nowMs: number): Slot | undefined {
    const slot = this.#slots[this.#first];
    if (slot === undefined || slot.fromMs > nowMs) return undefined;
    this.#first += 1;
    return slot;
  }

  /** Slots whose moment has come or is near. */
  near(nowMs: number): number {
    let slots = 0;
    for (let at = this.#first; (this.#slots[at]?.fromMs ?? Number.POSITIVE_INFINITY) - nowMs <= NEAR_MS; at += 1)
      slots += 1;
    return slots;
  }

  /** Drops the slots whose end has passed; says how many. */
  dropVoid(nowMs: number): number {
    const before = this.#first;
    for (let slot = this.#slots[before]; slot !== undefined; slot = this.#slots[this.#first]) {
      if (slot.notAfterMs - nowMs >= SHORTEST_SLOT_MS) break;
      this.#first += 1;
    }
    return this.#first - before;
  }

  /** Drops all; says how many. */
  clear(): number {
    const count = this.size;
    this.#slots = [];
    this.#first = 0;
    this.disarm();
    return count;
  }

  /** Sees to it that `onDue` is called once when the next slot is near, or where it is that already, when its moment has come. */
  arm(nowMs: number): void {
    const slot = this.#slots[this.#first];
    if (slot === undefined || this.#timer !== undefined) return;
    const inMs = slot.fromMs - nowMs;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#onDue();
      },
      Math.max(1, Math.ceil(inMs > NEAR_MS ? inMs - NEAR_MS : inMs)),
    );
  }

  disarm(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
