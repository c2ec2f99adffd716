import type { Certificate } from '../core/certificate.ts';
import { CHUNK_ITEMS, chunkOf } from './chunk.ts';
import { isDirectBatch, type AdoptedItem } from './direct-items.ts';

/** Where the certificates of submitted and of direct batches are. */
export interface CertificateSource {
  readonly items: { chunk(batch: string, chunk: number): Promise<Certificate[] | undefined> };
  readonly direct: {
    item(batch: string, n: number): Promise<AdoptedItem | undefined>;
    jobs(batch: string): Promise<ReadonlyMap<string, number>>;
  };
}

/** Reads chunks through a small cache: neighbours in time are neighbours in a chunk. */
export class ChunkReader {
  readonly #source: CertificateSource;
  readonly #capacity: number;
  readonly #chunks = new Map<string, Promise<Certificate[] | undefined>>();

  constructor(source: CertificateSource, capacity = 32) {
    this.#source = source;
    this.#capacity = capacity;
  }

  /** The certificate with this ordinal. */
  async certificate(batch: string, n: number): Promise<Certificate | undefined> {
    if (isDirectBatch(batch)) return (await this.#source.direct.item(batch, n))?.certificate;
    return (await this.chunk(batch, chunkOf(n)))?.[n % CHUNK_ITEMS];
  }

  /** The same, with what a direct item was adopted under, which is free again when the item has ended. */
  async item(batch: string, n: number): Promise<AdoptedItem | undefined> {
    if (!isDirectBatch(batch)) {
      const certificate = await this.certificate(batch, n);
      return certificate === undefined ? undefined : { certificate };
    }
    const adopted = await this.#source.direct.item(batch, n);
    if (adopted === undefined || adopted.key !== undefined) return adopted;
    const [key] = [...(await this.#source.direct.jobs(batch))].find(([, ordinal]) => ordinal === n) ?? [];
    return { ...adopted, ...(key !== undefined && { key }) };
  }

  async chunk(batch: string, chunk: number): Promise<Certificate[] | undefined> {
    const key = `${batch} ${chunk}`;
    const read = this.#chunks.get(key) ?? this.#source.items.chunk(batch, chunk);
    // Put at the end again: the map's order is the order of use.
    this.#chunks.delete(key);
    this.#chunks.set(key, read);
    read.catch(() => this.#chunks.delete(key));
    const oldest = this.#chunks.keys().next();
    if (this.#chunks.size > this.#capacity && oldest.done !== true) this.#chunks.delete(oldest.value);
    return read;
  }
}
