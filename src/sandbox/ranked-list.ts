/** The most numbers in one run; a longer one is cut in two. */
const MOST_IN_RUN = 1024;

/** Numbers in the order of their keys, found by their rank although others come and go: some microseconds a step at a million. */
export class RankedList {
  readonly #keyOf: (id: number) => number;
  readonly #runs: number[][] = [[]];
  #size = 0;

  /** @param keyOf - no two numbers have the same key, and a number's key never changes */
  constructor(keyOf: (id: number) => number) {
    this.#keyOf = keyOf;
  }

  get size(): number {
    return this.#size;
  }

  /** @param id - not in the list */
  insert(id: number): void {
    const key = this.#keyOf(id);
    const at = this.#runOf(key);
    const run = this.#runs[at] ?? [];
    run.splice(this.#placeIn(run, key), 0, id);
    this.#size += 1;
    if (run.length > MOST_IN_RUN) this.#runs.splice(at + 1, 0, run.splice(MOST_IN_RUN / 2));
  }

  /** @param id - in the list */
  remove(id: number): void {
    const key = this.#keyOf(id);
    const at = this.#runOf(key);
    const run = this.#runs[at] ?? [];
    run.splice(this.#placeIn(run, key), 1);
    this.#size -= 1;
    if (run.length === 0 && this.#runs.length > 1) this.#runs.splice(at, 1);
  }

  /** So many numbers from a rank on, fewer at the end. */
  slice(from: number, count: number): number[] {
    const found: number[] = [];
    let before = from;
    for (const run of this.#runs) {
      if (found.length >= count) break;
      if (before < run.length) {
        found.push(...run.slice(before, before + count - found.length));
        before = 0;
      } else before -= run.length;
    }
    return found;
  }

  /** The last run that begins at or before the key. */
  #runOf(key: number): number {
    let [low, high] = [0, this.#runs.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.#keyOf(this.#runs[middle]?.[0] ?? 0) <= key) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #placeIn(run: readonly number[], key: number): number {
    let [low, high] = [0, run.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#keyOf(run[middle] ?? 0) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
