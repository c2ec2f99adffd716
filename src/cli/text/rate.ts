/** So far back a rate looks, milliseconds: steady enough to read, and new enough to be true. */
const WINDOW_MS = 5_000;

interface Sample {
  readonly atMs: number;
  readonly total: number;
}

/** Makes a rate of a total that is read now and then. */
export class Rate {
  readonly #samples: Sample[] = [];

  /** @returns how much the total has risen a second, over the last five */
  perSecond(total: number, atMs: number): number {
    this.#samples.push({ atMs, total });
    // The newest sample that is as old as the window is where it begins.
    while ((this.#samples[1]?.atMs ?? atMs) <= atMs - WINDOW_MS) this.#samples.shift();
    const [first] = this.#samples;
    if (first === undefined || atMs <= first.atMs) return 0;
    return (total - first.total) / ((atMs - first.atMs) / 1_000);
  }
}
