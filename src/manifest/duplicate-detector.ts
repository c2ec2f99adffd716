import { hash } from 'node:crypto';
import { tmpdir } from 'node:os';
import type { Certificate } from '../core/certificate.ts';
import { DIGEST_WORDS, DigestSet } from './digest-set.ts';
import { ScratchFile } from './scratch-file.ts';

const SHARDS = 16;
/** Of the table of a shard: 1 MiB, which is what is written at once, and what stands twice for a moment while a table grows. */
const MOST_SLOTS = 65_536;

/**
 * Finds duplicates among millions of certificates. Keeps 128 bits of a SHA-256 in place of the text: among ten
 * million certificates two different ones look alike with a chance of 1 in 10^24. Up to some 780,000 they are in memory, in
 * 16 MB; what is more goes to a file in the folder for temporary files, 22 bytes each, of which 1.4 stay in memory.
 */
export class DuplicateDetector {
  readonly #file: ScratchFile;
  readonly #shards: readonly DigestSet[];
  readonly #digest = new Uint32Array(DIGEST_WORDS);

  /** @param options - other than the defaults for tests */
  constructor({ folder = tmpdir(), mostSlots = MOST_SLOTS }: { folder?: string; mostSlots?: number } = {}) {
    const file = new ScratchFile(folder);
    this.#file = file;
    // Each shard grows and is written down by itself, so never much at once.
    this.#shards = Array.from({ length: SHARDS }, () => new DigestSet(file, mostSlots));
  }

  /**
   * Remembers the certificate.
   * @param certificate - as `parseCertificate` made it: without control characters
   * @returns true when it is new
   * @throws ScratchUnavailable
   */
  add(certificate: Certificate): boolean {
    return this.#shardOf(certificate)?.add(this.#digest) === true;
  }

  /**
   * Whether the certificate was added.
   * @throws ScratchUnavailable
   */
  has(certificate: Certificate): boolean {
    return this.#shardOf(certificate)?.has(this.#digest) === true;
  }

  /** Leaves the certificate's digest in `#digest`. */
  #shardOf({ instanceId, caSn, deviceSn }: Certificate): DigestSet | undefined {
    const spread = digestInto(`${instanceId}\n${caSn}\n${deviceSn}`, this.#digest);
    return this.#shards[spread % SHARDS];
  }

  /** Gives the file's room back. Must be called, also after an error. */
  close(): void {
    this.#file.close();
  }
}

/**
 * Writes the first 128 bits of the text's SHA-256 into the words.
 * @returns eight more bits of it, to spread digests over shards with
 */
export function digestInto(text: string, words: Uint32Array): number {
  const digest = hash('sha256', text, 'binary');
  for (let word = 0; word < DIGEST_WORDS; word += 1) words[word] = wordAt(digest, word * 4);
  return digest.charCodeAt(DIGEST_WORDS * 4);
}

function wordAt(digest: string, at: number): number {
  return (
    digest.charCodeAt(at) |
    (digest.charCodeAt(at + 1) << 8) |
    (digest.charCodeAt(at + 2) << 16) |
    (digest.charCodeAt(at + 3) << 24)
  );
}
