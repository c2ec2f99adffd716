import type { Motive } from '../audit/note.ts';
import type { Certificate } from '../core/certificate.ts';
import type { Batch } from './batch-record.ts';
import { CHUNK_ITEMS, mayHold, unpackChunk } from './chunk.ts';
import { isDirectBatch, parseAdopted } from './direct-items.ts';
import type { LedgerStore } from './keys.ts';

/** An item of a batch that is for this device. `requestedBy` and `reason` only where the item has its own, as direct ones have. */
export interface DevicePlace extends Motive {
  readonly n: number;
  readonly certificate: Certificate;
}

export interface DevicePlaces {
  /** By their ordinals. */
  readonly places: readonly DevicePlace[];
  /** Chunks that Redis has lost: what they held, nobody knows. */
  readonly lostChunks: number;
}

/** Chunks read at once: some 350 kB, which keep Redis for a fraction of a millisecond. */
const CHUNKS_READ = 16;
/** Items of a direct batch asked for at once. */
const ITEMS_SCANNED = 500;

/** The items of a batch that have a device's serial number, whatever their instance and CA; memory does not grow with the batch. */
export async function devicePlaces(store: LedgerStore, batch: Batch, deviceSn: string): Promise<DevicePlaces> {
  return isDirectBatch(batch.id) ? adopted(store, batch.id, deviceSn) : submitted(store, batch, deviceSn);
}

async function submitted({ redis, keys }: LedgerStore, batch: Batch, deviceSn: string): Promise<DevicePlaces> {
  const key = keys.of(batch.id).chunks;
  const count = Math.ceil(batch.counts.accepted / CHUNK_ITEMS);
  const quoted = Buffer.from(JSON.stringify(deviceSn));
  const places: DevicePlace[] = [];
  let lostChunks = 0;
  const read = (from: number): Promise<(Buffer | null)[]> => {
    const numbers = Array.from({ length: Math.min(CHUNKS_READ, count - from) }, (_, at) => String(from + at));
    return numbers.length === 0 ? Promise.resolve([]) : redis.hmgetBuffer(key, ...numbers);
  };
  for (let from = 0; from < count; from += CHUNKS_READ) {
    for (const [at, packed] of (await read(from)).entries()) {
      if (packed === null) lostChunks += 1;
      else if (mayHold(packed, quoted)) {
        for (const [position, certificate] of unpackChunk(packed).entries()) {
          if (certificate.deviceSn !== deviceSn) continue;
          places.push({ n: (from + at) * CHUNK_ITEMS + position, certificate });
        }
      }
    }
  }
  return { places, lostChunks };
}

async function adopted({ redis, keys }: LedgerStore, batch: string, deviceSn: string): Promise<DevicePlaces> {
  const quoted = JSON.stringify(deviceSn);
  // A scan may show an item twice.
  const places = new Map<number, DevicePlace>();
  const pages = redis.hscanStream(keys.of(batch).chunks, { count: ITEMS_SCANNED }) as AsyncIterable<string[]>;
  for await (const page of pages) {
    for (let at = 0; at + 1 < page.length; at += 2) {
      const text = page[at + 1] ?? '';
      if (!text.includes(quoted)) continue;
      const { certificate, requestedBy, reason } = parseAdopted(text);
      if (certificate.deviceSn !== deviceSn) continue;
      const n = Number(page[at]);
      const motive = { ...(requestedBy !== undefined && { requestedBy }), ...(reason !== undefined && { reason }) };
      places.set(n, { n, certificate, ...motive });
    }
  }
  return { places: [...places.values()].toSorted((a, b) => a.n - b.n), lostChunks: 0 };
}
