import { DIGEST_WORDS } from '../manifest/digest-set.ts';
import { digestInto } from '../manifest/duplicate-detector.ts';

const SHARDS = 16;
const FIRST_SLOTS = 16;
const MAX_LOAD = 0.75;

/**
 * A small number for each of millions of texts. A text is found by some bits of its SHA-256: 128 as in `DuplicateDetector`, which takes 23 to 45
 * bytes a text, or 64, which takes 12 to 24 and may take one text for another: among ten million, once in 200,000 plans. Each shard grows by itself,
 * so only little is ever in memory twice.
 */
export class DigestMarks {
  readonly #shards: readonly Shard[];
  readonly #digest = new Uint32Array(DIGEST_WORDS);

  constructor(bits: 64 | 128) {
    this.#shards = Array.from({ length: SHARDS }, () => new Shard(bits / 32));
  }

  /**
   * @param mark - 0 to 255
   * @returns false when the text is known: its mark stays
   */
  add(text: string, mark: number): boolean {
    return this.#shardOf(text).add(this.#digest, mark);
  }

  /**
   * Changes the mark of a text that is known.
   * @returns the mark that it had; undefined where the text is not known
   */
  mark(text: string, mark: number): number | undefined {
    return this.#shardOf(text).mark(this.#digest, mark);
  }

  /** Undefined where the text is not known. */
  get(text: string): number | undefined {
    return this.#shardOf(text).get(this.#digest);
  }

  #shardOf(text: string): Shard {
    const spread = digestInto(text, this.#digest);
    // A first word of zero marks a free slot.
    if (this.#digest[0] === 0) this.#digest[0] = 1;
    return this.#shards[spread % SHARDS] as Shard;
  }
}

class Shard {
  /** How many words of a digest are kept. */
  readonly #width: number;
  #words: Uint32Array;
  #marks = new Uint8Array(FIRST_SLOTS);
  #used = 0;

  constructor(width: number) {
    this.#width = width;
    this.#words = new Uint32Array(FIRST_SLOTS * width);
  }

  add(digest: Uint32Array, mark: number): boolean {
    if (this.#used >= this.#marks.length * MAX_LOAD) this.#grow();
    const slot = this.#slotOf(digest, 0);
    if (this.#isFree(slot)) {
      for (let word = 0; word < this.#width; word += 1) this.#words[slot * this.#width + word] = digest[word] ?? 0;
      this.#marks[slot] = mark;
      this.#used += 1;
      return true;
    }
    return false;
  }

  mark(digest: Uint32Array, mark: number): number | undefined {
    const slot = this.#slotOf(digest, 0);
    if (this.#isFree(slot)) return undefined;
    const before = this.#marks[slot];
    this.#marks[slot] = mark;
    return before;
  }

  get(digest: Uint32Array): number | undefined {
    const slot = this.#slotOf(digest, 0);
    return this.#isFree(slot) ? undefined : this.#marks[slot];
  }

  #isFree(slot: number): boolean {
    return this.#words[slot * this.#width] === 0;
  }

  /** Where the digest at `from` stands, or the free slot where it would. */
  #slotOf(digest: Uint32Array, from: number): number {
    const mask = this.#marks.length - 1;
    // Steps that grow by one come to every slot of a power of two.
    for (let slot = (digest[from + 1] ?? 0) & mask, step = 1; ; slot = (slot + step) & mask, step += 1)
      if (this.#isFree(slot) || this.#stands(slot, digest, from)) return slot;
  }

  #stands(slot: number, digest: Uint32Array, from: number): boolean {
    const at = slot * this.#width;
    for (let word = 0; word < this.#width; word += 1) if (this.#words[at + word] !== digest[from + word]) return false;
    return true;
  }

  #grow(): void {
    const [words, marks, width] = [this.#words, this.#marks, this.#width];
    this.#words = new Uint32Array(words.length * 2);
    this.#marks = new Uint8Array(marks.length * 2);
    for (let slot = 0; slot < marks.length; slot += 1) {
      const from = slot * width;
      if (words[from] === 0) continue;
      const to = this.#slotOf(words, from);
      this.#words.set(words.subarray(from, from + width), to * width);
      this.#marks[to] = marks[slot] ?? 0;
    }
  }
}
