import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { DEFAULT_ACTION, type Action } from '../core/action.ts';
import type { Certificate } from '../core/certificate.ts';

/** Items in a chunk. Ordinals are implied: item n is at position n % CHUNK_ITEMS of chunk floor(n / CHUNK_ITEMS). */
export const CHUNK_ITEMS = 1_000;

/** Neighbours that share instance and CA are one run: a manifest is mostly long runs. */
type Run = readonly [instanceId: string, caSn: string, deviceSns: readonly string[]];

/** As it is written where the batch does not delete. */
interface ActingChunk {
  readonly action: Action;
  readonly runs: readonly Run[];
}

/**
 * Packs certificates in the order of their ordinals; some 20 bytes each for random serial numbers of 16 bytes in hex.
 * A version before layout 4 takes every batch for one that deletes: it cannot read the chunks of one that does not, so it calls for none of them.
 */
export function packChunk(certificates: readonly Certificate[], action: Action = DEFAULT_ACTION): Buffer {
  const runs: [string, string, string[]][] = [];
  for (const { instanceId, caSn, deviceSn } of certificates) {
    const last = runs.at(-1);
    if (last?.[0] === instanceId && last[1] === caSn) last[2].push(deviceSn);
    else runs.push([instanceId, caSn, [deviceSn]]);
  }
  return deflateRawSync(JSON.stringify(action === DEFAULT_ACTION ? runs : ({ action, runs } satisfies ActingChunk)));
}

/** @throws when the bytes are no chunk: Redis holds something that we did not write */
export function unpackChunk(packed: Buffer): Certificate[] {
  const chunk = JSON.parse(inflateRawSync(packed).toString('utf8')) as readonly Run[] | ActingChunk;
  const runs = 'runs' in chunk ? chunk.runs : chunk;
  return runs.flatMap(([instanceId, caSn, deviceSns]) => deviceSns.map((deviceSn) => ({ instanceId, caSn, deviceSn })));
}

/**
 * Whether a chunk may hold a value. It compares bytes: most chunks that are searched do not hold it, and decoding a thousand certificates takes many
 * times as long.
 * @param quoted - the value as JSON, in its bytes
 */
export function mayHold(packed: Buffer, quoted: Buffer): boolean {
  return inflateRawSync(packed).includes(quoted);
}

export function chunkOf(ordinal: number): number {
  return Math.floor(ordinal / CHUNK_ITEMS);
}

/** Which chunks hold items of one instance: sorted, as ranges, both ends included. */
export type ChunkRanges = readonly (readonly [from: number, to: number])[];

/** Adds a chunk number at the end; numbers come in rising order. */
export function appendChunk(ranges: ChunkRanges, chunk: number): ChunkRanges {
  const last = ranges.at(-1);
  if (last === undefined || chunk > last[1] + 1) return [...ranges, [chunk, chunk]];
  return chunk <= last[1] ? ranges : [...ranges.slice(0, -1), [last[0], chunk]];
}

/** The first of these chunks at or after the given one. */
export function nextChunk(ranges: ChunkRanges, from: number): number | undefined {
  const range = ranges.find(([, to]) => to >= from);
  return range === undefined ? undefined : Math.max(range[0], from);
}
