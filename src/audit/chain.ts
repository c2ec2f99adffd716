import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { NO_PREVIOUS, type AuditEntry, type AuditKeys } from './entry.ts';

/** An entry as it stands in the stream. */
export interface StoredEntry {
  /** Of the stream: `<Unix ms>-<n>`. */
  readonly id: string;
  /** The bytes that are hashed. */
  readonly text: string;
  readonly hash: string;
  /** Names the operation that wrote it. */
  readonly op: string;
}

/** Entries read at once. */
const PAGE = 500;

/**
 * The entries from one on, the oldest first, up to the last at the time of reading.
 * @param from - the id of an entry, Unix milliseconds, or `(` and an id for those behind it
 */
export async function* storedEntries(redis: Redis, { stream }: AuditKeys, from = '-'): AsyncGenerator<StoredEntry> {
  for (let next = from; ;) {
    const page = await redis.xrange(stream, next, '+', 'COUNT', PAGE);
    for (const [id, fields] of page) {
      const field = new Map(Array.from({ length: fields.length / 2 }, (_, at) => [fields[2 * at], fields[2 * at + 1]]));
      yield { id, text: field.get('entry') ?? '', hash: field.get('hash') ?? '', op: field.get('op') ?? '' };
    }
    const last = page.at(-1)?.[0];
    if (last === undefined || page.length < PAGE) return;
    next = `(${last}`;
  }
}

/** One line of JSON: the hashed text, and the hash as its last field. */
export function lineOf({ text, hash }: StoredEntry): string {
  return `${text.slice(0, -1)},"hash":"${hash}"}`;
}

/** @returns undefined for what nobody can read */
export function entryOf({ text, hash }: StoredEntry): AuditEntry | undefined {
  try {
    const found = JSON.parse(text) as AuditEntry;
    return typeof found === 'object' && found !== null && Number.isSafeInteger(found.seq)
      ? { ...found, hash }
      : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the chain is whole. `seq` is where the first fault shows: of the entry, or the number that a missing one had. */
export type ChainVerdict =
  | { readonly kind: 'whole'; readonly entries: number; readonly lastHash: string }
  | { readonly kind: 'broken'; readonly seq: number; readonly why: string };

/**
 * Follows the chain from its first entry to the last that Redis says it wrote. It shows loss and clumsy edits; anyone who can write to Redis can make a
 * whole chain of false entries.
 */
export async function verifyChain(redis: Redis, keys: AuditKeys): Promise<ChainVerdict> {
  // Before the entries: what is written meanwhile comes behind it.
  const [headSeq, headHash] = await redis.hmget(keys.head, 'seq', 'hash');
  let before = { seq: 0, hash: NO_PREVIOUS };
  let isHeadSeen = headSeq === null;
  for await (const stored of storedEntries(redis, keys)) {
    const expected = before.seq + 1;
    const entry = entryOf(stored);
    if (entry === undefined) return broken(expected, `the entry ${stored.id} is not readable`);
    const { seq } = entry;
    if (createHash('sha1').update(stored.text).digest('hex') !== stored.hash) {
      return broken(seq, 'its text does not match its hash: it was changed');
    }
    if (seq > expected) {
      const what = seq === expected + 1 ? `entry ${expected} is` : `entries ${expected} to ${seq - 1} are`;
      return broken(expected, `${what} missing: the next one there is ${seq}`);
    }
    if (seq < expected) return broken(seq, `it comes after entry ${before.seq}: the numbering starts over`);
    if (entry.previous !== before.hash) {
      return broken(
        seq,
        `it names ${entry.previous} as the hash before it, which is ${before.hash}: one of the two was replaced`,
      );
    }
    before = { seq, hash: stored.hash };
    if (String(seq) === headSeq) {
      if (stored.hash !== headHash)
        return broken(seq, 'Redis noted another one as the last under this number: one of the two was replaced');
      isHeadSeen = true;
    }
  }
  if (!isHeadSeen) {
    const first = before.seq + 1;
    const what =
      String(first) === headSeq
        ? `entry ${first}, the last one, is`
        : `entries ${first} to ${headSeq ?? ''}, the last ones, are`;
    return broken(first, `${what} missing`);
  }
  if (before.seq > 0 && headSeq === null) return broken(before.seq, 'the note of the last entry is missing');
  return { kind: 'whole', entries: before.seq, lastHash: before.hash };
}

function broken(seq: number, why: string): ChainVerdict {
  return { kind: 'broken', seq, why };
}
