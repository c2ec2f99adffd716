import { SHORTEST_SLOT_MS, type Slot } from './pace-store.ts';

/**
 * Calls whose slots have come leave together, so that many share one wake-up of the process: this long after the first could have left,
 * milliseconds,
 */
const GATHER_MS = 20;
/**
 * but with this much left of each slot, milliseconds: what signing takes, and what a busy system may take between a call's last check of its slot and the
 * wire,
 */
const SPARE_MS = 10;
/** and more where timers fire late, since the next one may, too; at most this much in all. */
const MOST_SPARE_MS = 18;
/** So long before the last slot in hand the next ones are asked for: what an answer takes on a busy machine. */
const LEAD_MS = 8;
/** Weight of what was seen before: a late timer is forgotten after some twenty. */
const KEPT = 0.9;

/** A caller and the slot that is only for it, and what its notes say where it has any. */
export interface Placed<Caller, Verdict = unknown> {
  readonly caller: Caller;
  readonly slot: Slot;
  readonly verdict?: Verdict | undefined;
}

/** The slots that a process has in hand, each for one caller. Where the process stalls past a slot's end, the slot is void. */
export class SlotBuffer<Caller, Verdict = unknown> {
  readonly #onDue: () => void;
  /** By `fromMs`. */
  #placed: Placed<Caller, Verdict>[] = [];
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = 0;
  /** How late timers fire on this machine now. */
  #lateMs = 0;

  /** @param onDue - it is time to take what is due */
  constructor(onDue: () => void) {
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#placed.length;
  }

  /** How many have a moment that has not come. */
  early(nowMs: number): number {
    return this.#placed.filter(({ slot }) => slot.fromMs > nowMs).length;
  }

  /** Until the next slots must be asked for, milliseconds: processes that share a pace pulse in turns, each for many slots. */
  neededInMs(): number {
    const last = this.#placed.at(-1);
    return last === undefined ? 0 : Math.max(0, last.slot.fromMs - performance.now() - LEAD_MS);
  }

  put(placed: readonly Placed<Caller, Verdict>[]): void {
    this.#placed.push(...placed);
    // Each answer places its slots by its own round trip, so a quicker one's may come before those in hand.
    this.#placed.sort((a, b) => a.slot.fromMs - b.slot.fromMs);
  }

  /** Those whose moment has come and not passed, in its order. */
  takeDue(nowMs: number): Placed<Caller, Verdict>[] {
    const isDue = ({ slot }: Placed<Caller, Verdict>): boolean =>
      slot.fromMs <= nowMs && slot.notAfterMs - nowMs >= SHORTEST_SLOT_MS;
    return this.#take(isDue);
  }

  /** Those whose end has passed. */
  takeVoid(nowMs: number): Placed<Caller, Verdict>[] {
    return this.#take(({ slot }) => slot.notAfterMs - nowMs < SHORTEST_SLOT_MS);
  }

  takeIf(is: (caller: Caller) => boolean): Placed<Caller, Verdict>[] {
    return this.#take(({ caller }) => is(caller));
  }

  /** All. */
  clear(): Placed<Caller, Verdict>[] {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#placed.splice(0);
  }

  /** Sees to it that `onDue` is called when what is in hand has to leave. */
  arm(nowMs: number): void {
    const atMs = this.#leaveAtMs();
    if (atMs === undefined || (this.#timer !== undefined && this.#timerAtMs <= atMs)) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#lateMs = Math.max(performance.now() - this.#timerAtMs, this.#lateMs * KEPT);
        this.#onDue();
      },
      Math.max(1, Math.ceil(atMs - nowMs)),
    );
  }

  /** When to wake up: for the first that must leave, or when all are due. */
  #leaveAtMs(): number | undefined {
    const first = this.#placed[0];
    const last = this.#placed.at(-1);
    if (first === undefined || last === undefined) return undefined;
    const endMs = Math.min(...this.#placed.map(({ slot }) => slot.notAfterMs));
    const spareMs = Math.min(MOST_SPARE_MS, SPARE_MS + this.#lateMs);
    return Math.max(first.slot.fromMs, Math.min(first.slot.fromMs + GATHER_MS, last.slot.fromMs, endMs - spareMs));
  }

  #take(is: (placed: Placed<Caller, Verdict>) => boolean): Placed<Caller, Verdict>[] {
    const taken = this.#placed.filter(is);
    if (taken.length > 0) this.#placed = this.#placed.filter((placed) => !is(placed));
    return taken;
  }
}
