import type { Duplex } from 'node:stream';

/** Thrown where a call's slot is void: nothing has left, nothing may. */
export class SlotVoid extends Error {
  override readonly name = 'SlotVoid';
}

/** Thrown where a call's deadline has passed. */
export class DeadlinePassed extends Error {
  override readonly name = 'DeadlinePassed';
}

/** Timers count whole milliseconds and may fire by a part of one early. */
const TIMER_SLACK_MS = 1;
/** Between the last look and the wire a busy system may give the processor to someone else for a while; measured: 4 ms in the worst hundredth. */
const WRITE_MS = 4;

/**
 * One call on its way: how long it may take, until when it may leave, and whether it has. What became of a call that
 * failed before it left is certain: nothing.
 */
export class Journey {
  readonly deadlineMs: number;
  /** What it was given to travel on. */
  connection: Duplex | undefined;
  readonly #notAfterMs: number | undefined;
  readonly #endMs: number;
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #left = false;
  #endTurn: () => void = () => undefined;

  /**
   * @param deadlineMs - from now to the end of the answer
   * @param notAfterMs - on `performance.now()`'s scale; undefined for a call without a slot
   */
  constructor(deadlineMs: number, notAfterMs: number | undefined) {
    this.deadlineMs = deadlineMs;
    this.#notAfterMs = notAfterMs;
    this.#endMs = performance.now() + deadlineMs - TIMER_SLACK_MS;
    this.#timer = setTimeout(() => this.#controller.abort(), deadlineMs);
  }

  /** Aborts at the deadline, and the socket with it. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether a byte of the request may have left this process. */
  get left(): boolean {
    return this.#left;
  }

  /**
   * Whether the call may still be sent.
   * @param spareMs - how much of the slot must be left
   * @throws SlotVoid past its slot, DeadlinePassed past its deadline, also where the timer has yet to say so
   */
  mustBeInTime(spareMs: number = WRITE_MS): void {
    const nowMs = performance.now();
    if (nowMs >= this.#endMs) throw new DeadlinePassed();
    if (this.#notAfterMs === undefined || nowMs <= this.#notAfterMs - spareMs) return;
    const leftMs = this.#notAfterMs - nowMs;
    throw new SlotVoid(`${leftMs.toFixed(1)} ms of the slot were left, too little to send in, and nothing was sent`);
  }

  /**
   * The last thing before the bytes go out.
   * @throws SlotVoid, DeadlinePassed
   */
  depart(): void {
    this.mustBeInTime();
    this.#left = true;
  }

  /** It has to wait for a connection after all; others may go before it. */
  hold(): void {
    this.#left = false;
    this.pass();
  }

  /** Its turn at the turnstile has begun. */
  begin(endTurn: () => void): void {
    this.#endTurn = endTurn;
  }

  /** It is through the turnstile. */
  pass(): void {
    this.#endTurn();
  }

  /**
   * What the work gives, unless the deadline comes first; the work itself is not stopped by this.
   * @throws DeadlinePassed, or what the work throws
   */
  within<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const stop = (): void => reject(new DeadlinePassed());
      if (this.signal.aborted) stop();
      else this.signal.addEventListener('abort', stop, { once: true });
      work.then(resolve, reject);
    });
  }

  /** Must be called once the answer is known. */
  end(): void {
    clearTimeout(this.#timer);
  }
}
