import type { Duplex } from 'node:stream';
import type { Deadline, Deadlines } from './deadlines.ts';

/** Thrown where a call's slot is void: nothing has left, nothing may. */
export class SlotVoid extends Error {
  override readonly name = 'SlotVoid';
}

/** Thrown where a call's deadline has passed. */
export class DeadlinePassed extends Error {
  override readonly name = 'DeadlinePassed';
}

/** Between the last check and the wire a busy system may give the processor to someone else for a while; measured: 4 ms in the worst hundredth. */
const WRITE_MS = 4;

/**
 * One call on its way: how long it may take, until when it may leave, and whether it has. What became of a call that
 * failed before it left is certain: nothing.
 */
export class OutgoingCall {
  readonly deadlineMs: number;
  /** Takes its answer, where the SDK is not to read it. */
  takeBody: ((body: object) => void) | undefined;
  /** What it was given to travel on. */
  connection: Duplex | undefined;
  readonly #notAfterMs: number | undefined;
  readonly #deadline: Deadline;
  readonly #deadlines: Deadlines;
  readonly #onDeadline = new Set<() => void>();
  #isOver = false;
  #left = false;
  #release: () => void = () => undefined;

  /**
   * @param deadlines - calls `pass` at the deadline; it counts from now to the end of the answer
   * @param notAfterMs - on `performance.now()`'s scale; undefined for a call without a slot
   */
  constructor(deadlines: Deadlines, notAfterMs: number | undefined) {
    this.#deadlines = deadlines;
    this.deadlineMs = deadlines.afterMs;
    this.#notAfterMs = notAfterMs;
    this.#deadline = deadlines.add(this);
  }

  /** The deadline has passed. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Tells all who wait, and ends the connection. */
  pass(): void {
    this.#isOver = true;
    for (const tell of this.#onDeadline) tell();
    this.#onDeadline.clear();
    this.connection?.destroy(new DeadlinePassed());
  }

  /** Has a function called at the deadline, at once where it has passed. @returns takes that back */
  onDeadline(tell: () => void): () => void {
    if (this.#isOver) tell();
    else this.#onDeadline.add(tell);
    return () => void this.#onDeadline.delete(tell);
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
    const why = this.slotVoid(spareMs);
    if (why !== undefined) throw new SlotVoid(why);
  }

  /**
   * Why the call must not be sent in its slot. At full load many come too late, and their errors' stacks took 2% of the CPU.
   * @param spareMs - how much of the slot must be left
   * @throws DeadlinePassed past its deadline, also where the timer has yet to say so
   */
  slotVoid(spareMs: number = WRITE_MS): string | undefined {
    const nowMs = performance.now();
    if (nowMs >= this.#deadline.endMs) throw new DeadlinePassed();
    if (this.#notAfterMs === undefined || nowMs <= this.#notAfterMs - spareMs) return undefined;
    const leftMs = this.#notAfterMs - nowMs;
    return `${leftMs.toFixed(1)} ms of the slot were left, too little to send in, and nothing was sent`;
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
    this.release();
  }

  /** It may be signed and written. */
  permit(release: () => void): void {
    this.#release = release;
  }

  /** It is written, or will not be: another one may be signed. */
  release(): void {
    this.#release();
  }

  /**
   * What the work gives, unless the deadline comes first; the work itself is not stopped by this.
   * @throws DeadlinePassed, or what the work throws
   */
  within<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.onDeadline(() => reject(new DeadlinePassed()));
      work.then(resolve, reject);
    });
  }

  /** Must be called once the answer is known. */
  end(): void {
    this.#deadlines.remove(this.#deadline);
    this.connection = undefined;
  }
}
