import type { ScratchFile } from './scratch-file.ts';

/** Unsigned 32-bit words of a digest: 128 bits. */
export const DIGEST_WORDS = 4;

const DIGEST_BYTES = DIGEST_WORDS * Uint32Array.BYTES_PER_ELEMENT;
const FIRST_SLOTS = 16;
const MAX_LOAD = 0.75;

/** Tables whose tags lie side by side, so that a lookup finds those of one slot in one line of the processor's cache. */
const TABLES_IN_GROUP = 8;

/** Full tables whose slots were written down. */
interface FrozenGroup {
  /** A byte for each slot of each table, those of a slot together: 0 where it is free, else some bits of its digest. */
  readonly tags: Uint8Array;
  /** Where the slots of each table begin in the file. */
  readonly starts: number[];
}

/**
 * A set of digests, exact, with one table of a bounded size in memory. A full table is frozen: its slots go to the file as they
 * are, and one byte of each stays, its tag. So a frozen digest costs 1.33 bytes, and a lookup reads the file only for a slot whose
 * tag agrees: for a new digest and one frozen table, once in 70 times.
 *
 * Word 0 marks a used slot, word 1 is the place, word 2 gives the tag. Were the tag of the same bits as the place, digests that meet
 * would have like tags, and each meeting would be a read.
 */
export class DigestSet {
  readonly #file: ScratchFile;
  readonly #mostSlots: number;
  readonly #frozen: FrozenGroup[] = [];
  /** A slot that was read back: its bytes and its words are the same memory. */
  readonly #found = new Uint32Array(DIGEST_WORDS);
  readonly #foundBytes = new Uint8Array(this.#found.buffer);
  #slots = new Uint32Array(FIRST_SLOTS * DIGEST_WORDS);
  #used = 0;

  /**
   * @param file - for the frozen tables; other sets may write to it too
   * @param mostSlots - of a table in memory; a power of two, 16 or more
   */
  constructor(file: ScratchFile, mostSlots: number) {
    this.#file = file;
    this.#mostSlots = mostSlots;
  }

  /**
   * @returns true when the digest is new
   * @throws ScratchUnavailable; do not use the set afterwards
   */
  add(digest: Uint32Array): boolean {
    // A first word of zero marks a free slot.
    if (digest[0] === 0) digest[0] = 1;
    if (this.#isFrozen(digest) || !place(this.#slots, digest, 0)) return false;
    this.#used += 1;
    if (this.#used > (this.#slots.length / DIGEST_WORDS) * MAX_LOAD) this.#makeRoom();
    return true;
  }

  /** @throws ScratchUnavailable; do not use the set afterwards */
  has(digest: Uint32Array): boolean {
    if (digest[0] === 0) digest[0] = 1;
    return stands(this.#slots, digest) || this.#isFrozen(digest);
  }

  #makeRoom(): void {
    const slots = this.#slots;
    if (slots.length < this.#mostSlots * DIGEST_WORDS) {
      this.#slots = doubled(slots);
      return;
    }
    this.#freeze(slots);
    slots.fill(0);
    this.#used = 0;
  }

  #freeze(slots: Uint32Array<ArrayBuffer>): void {
    const start = this.#file.append(new Uint8Array(slots.buffer));
    let group = this.#frozen.at(-1);
    if (group === undefined || group.starts.length === TABLES_IN_GROUP) {
      group = { tags: new Uint8Array(this.#mostSlots * TABLES_IN_GROUP), starts: [] };
      this.#frozen.push(group);
    }
    keepTags(slots, group.tags, group.starts.length);
    group.starts.push(start);
  }

  #isFrozen(digest: Uint32Array): boolean {
    const mask = this.#mostSlots - 1;
    const home = (digest[1] ?? 0) & mask;
    const tag = tagOf(digest[2] ?? 0);
    for (const { tags, starts } of this.#frozen) {
      for (let table = 0; table < starts.length; table += 1) {
        for (let slot = home, step = 1; ; slot = (slot + step) & mask, step += 1) {
          const found = tags[slot * TABLES_IN_GROUP + table];
          if (found === 0) break;
          if (found === tag && this.#stands((starts[table] ?? 0) + slot * DIGEST_BYTES, digest)) return true;
        }
      }
    }
    return false;
  }

  #stands(at: number, digest: Uint32Array): boolean {
    this.#file.read(this.#foundBytes, at);
    return this.#found.every((word, index) => word === digest[index]);
  }
}

function tagOf(word: number): number {
  return (word % 255) + 1;
}

function keepTags(slots: Uint32Array, tags: Uint8Array, table: number): void {
  for (let at = 0; at < slots.length; at += DIGEST_WORDS) {
    if (slots[at] !== 0) tags[(at / DIGEST_WORDS) * TABLES_IN_GROUP + table] = tagOf(slots[at + 2] ?? 0);
  }
}

/** Writes the four words at `from` into the first free slot from their place on; false when they stand there already. */
function place(slots: Uint32Array, words: Uint32Array, from: number): boolean {
  const mask = slots.length / DIGEST_WORDS - 1;
  const [a, b, c, d] = [words[from] ?? 0, words[from + 1] ?? 0, words[from + 2] ?? 0, words[from + 3] ?? 0];
  // Steps that grow by one come to every slot of a power of two, and meet half as many strangers as steps of one.
  for (let slot = b & mask, step = 1; ; slot = (slot + step) & mask, step += 1) {
    const at = slot * DIGEST_WORDS;
    if (slots[at] === 0) {
      slots[at] = a;
      slots[at + 1] = b;
      slots[at + 2] = c;
      slots[at + 3] = d;
      return true;
    }
    if (slots[at] === a && slots[at + 1] === b && slots[at + 2] === c && slots[at + 3] === d) return false;
  }
}

function stands(slots: Uint32Array, digest: Uint32Array): boolean {
  const mask = slots.length / DIGEST_WORDS - 1;
  for (let slot = (digest[1] ?? 0) & mask, step = 1; ; slot = (slot + step) & mask, step += 1) {
    const at = slot * DIGEST_WORDS;
    if (slots[at] === 0) return false;
    if (digest.every((word, index) => slots[at + index] === word)) return true;
  }
}

function doubled(slots: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(slots.length * 2);
  for (let at = 0; at < slots.length; at += DIGEST_WORDS) if (slots[at] !== 0) place(larger, slots, at);
  return larger;
}
