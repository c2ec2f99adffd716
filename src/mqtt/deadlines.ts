/** What has a deadline. */
export interface Timed {
  /** It has passed. */
  pass(): void;
}

/** Timers count whole milliseconds and may fire by a part of one early. */
const TIMER_SLACK_MS = 1;

/** One that waits for its deadline. Once it is out of the line it knows no neighbour. */
export interface Deadline {
  /** When it has passed, of `performance.now()`. */
  readonly endMs: number;
  timed: Timed | undefined;
  before: Deadline | undefined;
  after: Deadline | undefined;
}

/**
 * The deadlines of a client's calls. All calls have the same time, so one timer for the oldest serves them all; a timer for each costs more.
 *
 * They stand in a line of their own making, not in a Map: a Map that takes and drops keys all the time is rebuilt over and over, and the old tables hold on
 * to the calls that have ended, with all that these hold, until the next full garbage collection.
 */
export class Deadlines {
  readonly afterMs: number;
  /** In the order of their ends. */
  #first: Deadline | undefined;
  #last: Deadline | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param afterMs - from a call's beginning to the end of its answer */
  constructor(afterMs: number) {
    this.afterMs = afterMs;
  }

  add(timed: Timed): Deadline {
    const endMs = performance.now() + this.afterMs - TIMER_SLACK_MS;
    const deadline: Deadline = { endMs, timed, before: this.#last, after: undefined };
    if (this.#last === undefined) this.#first = deadline;
    else this.#last.after = deadline;
    this.#last = deadline;
    this.#timer ??= setTimeout(() => this.#check(), this.afterMs);
    return deadline;
  }

  /** May be called again. */
  remove(deadline: Deadline): void {
    if (deadline.timed === undefined) return;
    this.#unlink(deadline);
    if (this.#first !== undefined) return;
    // Else it would keep the process alive.
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #unlink(deadline: Deadline): void {
    const { before, after } = deadline;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    deadline.timed = deadline.before = deadline.after = undefined;
  }

  #check(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (;;) {
      const deadline = this.#first;
      if (deadline === undefined) return;
      if (deadline.endMs > nowMs) {
        this.#timer = setTimeout(() => this.#check(), Math.ceil(deadline.endMs - nowMs + TIMER_SLACK_MS));
        return;
      }
      const { timed } = deadline;
      this.#unlink(deadline);
      timed?.pass();
    }
  }
}
