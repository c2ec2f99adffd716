/**
 * Limits how many calls at a time go from their signature to the wire. Signing is most of the work: were all calls of one moment signed before the first
 * is written, the last would have grown late unseen, and at full load that was most of them. One at a time costs more CPU a call: the same code runs
 * better for some in a row.
 */
export class Semaphore {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(permits: number) {
    this.#free = permits;
  }

  /** Waits for a permit, first come first served. @returns gives it back; may be called again */
  async acquire(): Promise<() => void> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    };
  }
}
