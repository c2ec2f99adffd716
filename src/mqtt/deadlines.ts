/** What has a deadline. */
export interface Timed {
  /** It has passed. */
  pass(): void;
}

/** Timers count whole milliseconds and may fire by a part of one early. */
const TIMER_SLACK_MS = 1;

/** The deadlines of a client's calls. All calls have the same time, so one timer for the oldest serves them all; a timer for each costs more. */
export class Deadlines {
  readonly afterMs: number;
  /** In the order of their ends. */
  readonly #ends = new Map<Timed, number>();
  #timer: NodeJS.Timeout | undefined;

  /** @param afterMs - from a call's beginning to the end of its answer */
  constructor(afterMs: number) {
    this.afterMs = afterMs;
  }

  /** @returns when it has passed, of `performance.now()` */
  add(timed: Timed): number {
    const endMs = performance.now() + this.afterMs - TIMER_SLACK_MS;
    this.#ends.set(timed, endMs);
    this.#timer ??= setTimeout(() => this.#look(), this.afterMs);
    return endMs;
  }

  remove(timed: Timed): void {
    this.#ends.delete(timed);
    if (this.#ends.size > 0) return;
    // Else it would keep the process alive.
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (const [timed, endMs] of this.#ends) {
      if (endMs > nowMs) {
        this.#timer = setTimeout(() => this.#look(), Math.ceil(endMs - nowMs + TIMER_SLACK_MS));
        return;
      }
      this.#ends.delete(timed);
      timed.pass();
    }
  }
}
