import type { Certificate } from '../core/certificate.ts';
import { CHUNK_ITEMS, chunkOf } from './chunk.ts';
import { DIRECT_PREFIX, type AdoptedItem, type Ledger } from './ledger.ts';

/** Reads chunks through a small cache: neighbours in time are neighbours in a chunk. */
export class ChunkReader {
  readonly #ledger: Ledger;
  readonly #capacity: number;
  readonly #chunks = new Map<string, Promise<Certificate[] | undefined>>();

  constructor(ledger: Ledger, capacity = 32) {
    this.#ledger = ledger;
    this.#capacity = capacity;
  }

  /** The certificate that an ordinal stands for. */
  async certificate(batch: string, n: number): Promise<Certificate | undefined> {
    if (batch.startsWith(DIRECT_PREFIX)) return this.#ledger.adoptedCertificate(batch, n);
    return (await this.chunk(batch, chunkOf(n)))?.[n % CHUNK_ITEMS];
  }

  /** The same, with what a direct item was adopted under, which is free again when the item has ended. */
  async item(batch: string, n: number): Promise<AdoptedItem | undefined> {
    if (!batch.startsWith(DIRECT_PREFIX)) {
      const certificate = await this.certificate(batch, n);
      return certificate === undefined ? undefined : { certificate };
    }
    const adopted = await this.#ledger.adoptedItem(batch, n);
    if (adopted === undefined || adopted.key !== undefined) return adopted;
    const [key] = [...(await this.#ledger.adoptedJobs(batch))].find(([, ordinal]) => ordinal === n) ?? [];
    return { ...adopted, ...(key !== undefined && { key }) };
  }

  async chunk(batch: string, chunk: number): Promise<Certificate[] | undefined> {
    const key = `${batch} ${chunk}`;
    const read = this.#chunks.get(key) ?? this.#ledger.chunk(batch, chunk);
    // Put at the end again: the map's order is the order of use.
    this.#chunks.delete(key);
    this.#chunks.set(key, read);
    read.catch(() => this.#chunks.delete(key));
    const oldest = this.#chunks.keys().next();
    if (this.#chunks.size > this.#capacity && oldest.done !== true) this.#chunks.delete(oldest.value);
    return read;
  }
}
