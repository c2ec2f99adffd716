import { DIGEST_WORDS } from '../manifest/digest-set.ts';
import { digestInto } from '../manifest/duplicate-detector.ts';

const SHARDS = 16;
const FIRST_SLOTS = 16;
const MAX_LOAD = 0.75;

/**
 * A small number for each of millions of texts, in some 23 to 45 bytes a text: 128 bits of the SHA-256 stand for it, as in `DuplicateDetector`.
 * Each shard grows by itself, so never much stands twice.
 */
export class DigestMarks {
  readonly #shards = Array.from({ length: SHARDS }, () => new Shard());
  readonly #digest = new Uint32Array(DIGEST_WORDS);

  /**
   * @param mark - 0 to 255
   * @returns false when the text is known: its mark stays
   */
  add(text: string, mark: number): boolean {
    return this.#shardOf(text).add(this.#digest, mark);
  }

  /** Changes the mark of a text that is known. */
  mark(text: string, mark: number): void {
    this.#shardOf(text).mark(this.#digest, mark);
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
  #words = new Uint32Array(FIRST_SLOTS * DIGEST_WORDS);
  #marks = new Uint8Array(FIRST_SLOTS);
  #used = 0;

  add(digest: Uint32Array, mark: number): boolean {
    if (this.#used >= this.#marks.length * MAX_LOAD) this.#grow();
    const slot = this.#slotOf(digest, 0);
    if (this.#words[slot * DIGEST_WORDS] !== 0) return false;
    this.#words.set(digest, slot * DIGEST_WORDS);
    this.#marks[slot] = mark;
    this.#used += 1;
    return true;
  }

  mark(digest: Uint32Array, mark: number): void {
    const slot = this.#slotOf(digest, 0);
    if (this.#words[slot * DIGEST_WORDS] !== 0) this.#marks[slot] = mark;
  }

  get(digest: Uint32Array): number | undefined {
    const slot = this.#slotOf(digest, 0);
    return this.#words[slot * DIGEST_WORDS] === 0 ? undefined : this.#marks[slot];
  }

  /** Where the digest at `from` stands, or the free slot where it would. */
  #slotOf(digest: Uint32Array, from: number): number {
    const words = this.#words;
    const mask = this.#marks.length - 1;
    // Steps that grow by one come to every slot of a power of two.
    for (let slot = (digest[from + 1] ?? 0) & mask, step = 1; ; slot = (slot + step) & mask, step += 1) {
      const at = slot * DIGEST_WORDS;
      if (words[at] === 0) return slot;
      const isSame =
        words[at] === digest[from] &&
        words[at + 1] === digest[from + 1] &&
        words[at + 2] === digest[from + 2] &&
        words[at + 3] === digest[from + 3];
      if (isSame) return slot;
    }
  }

  #grow(): void {
    const [words, marks] = [this.#words, this.#marks];
    this.#words = new Uint32Array(words.length * 2);
    this.#marks = new Uint8Array(marks.length * 2);
    for (let slot = 0; slot < marks.length; slot += 1) {
      const from = slot * DIGEST_WORDS;
      if (words[from] === 0) continue;
      const to = this.#slotOf(words, from);
      this.#words.set(words.subarray(from, from + DIGEST_WORDS), to * DIGEST_WORDS);
      this.#marks[to] = marks[slot] ?? 0;
    }
  }
}
