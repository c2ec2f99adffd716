import { hash } from 'node:crypto';
import type { Certificate } from '../core/certificate.ts';

const SHARDS = 256;
const FIRST_SLOTS = 16;
/** Unsigned 32-bit words of a slot: 128 bits of the digest. */
const WORDS = 4;
const MAX_LOAD = 0.75;

interface Shard {
  slots: Uint32Array;
  used: number;
}

/**
 * The certificates met so far, to find duplicates among millions: 32 MB for one million, 256 MB for ten. Keeps 128 bits of a
 * SHA-256 in place of the text: among ten million certificates two different ones look alike with a chance of 1 in 10^24.
 */
export class SeenCertificates {
  // Each shard grows by itself, so the old and the new table never stand side by side for all of them.
  readonly #shards: readonly Shard[] = Array.from({ length: SHARDS }, () => ({
    slots: new Uint32Array(FIRST_SLOTS * WORDS),
    used: 0,
  }));
  readonly #words = new Uint32Array(WORDS);

  /**
   * Remembers the certificate.
   * @param certificate - as `parseCertificate` made it: without control characters
   * @returns true when it is new
   */
  add(certificate: Certificate): boolean {
    const { instanceId, caSn, deviceSn } = certificate;
    const digest = hash('sha256', `${instanceId}\n${caSn}\n${deviceSn}`, 'binary');
    const words = this.#words;
    for (let word = 0; word < WORDS; word += 1) words[word] = wordAt(digest, word * 4);
    // A first word of zero marks a free slot.
    if (words[0] === 0) words[0] = 1;
    const shard = this.#shards[digest.charCodeAt(WORDS * 4) % SHARDS];
    if (shard === undefined || !place(shard.slots, words, 0)) return false;
    shard.used += 1;
    if (shard.used > (shard.slots.length / WORDS) * MAX_LOAD) shard.slots = doubled(shard.slots);
    return true;
  }
}

function wordAt(digest: string, at: number): number {
  return (
    digest.charCodeAt(at) |
    (digest.charCodeAt(at + 1) << 8) |
    (digest.charCodeAt(at + 2) << 16) |
    (digest.charCodeAt(at + 3) << 24)
  );
}

/** Writes the four words at `from` into the first free slot from their place on; false when they stand there already. */
function place(slots: Uint32Array, words: Uint32Array, from: number): boolean {
  const mask = slots.length - 1;
  const [a, b, c, d] = [words[from] ?? 0, words[from + 1] ?? 0, words[from + 2] ?? 0, words[from + 3] ?? 0];
  // The length is a power of two, so a multiple of four stays one under the mask.
  for (let at = (b * WORDS) & mask; ; at = (at + WORDS) & mask) {
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

function doubled(slots: Uint32Array): Uint32Array {
  const larger = new Uint32Array(slots.length * 2);
  for (let at = 0; at < slots.length; at += WORDS) if (slots[at] !== 0) place(larger, slots, at);
  return larger;
}
