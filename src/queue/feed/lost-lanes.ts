import type { Batch } from '../../ledger/batch-record.ts';
import { appendChunk, CHUNK_ITEMS, chunkOf, type ChunkRanges } from '../../ledger/chunk.ts';
import { isDirectBatch } from '../../ledger/direct-items.ts';
import type { Lane } from '../../ledger/lanes.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { chunkMissing } from './lane-page.ts';

/** Chunks read in one round, so that other batches are fed meanwhile. */
const CHUNKS_A_ROUND = 50;

export interface LostLanesParts {
  readonly ledger: Pick<Ledger, 'items' | 'lanes'>;
  readonly tell: (event: LanesLost) => void;
}

/** Redis lost where the items of an instance are in the batch, or how far they were fed. */
export interface LanesLost {
  readonly kind: 'lanes-lost';
  readonly batch: string;
  readonly key: 'lanes' | 'cursors';
}

/** How far a batch has been read. */
interface Search {
  chunk: number;
  readonly lanes: Map<string, ChunkRanges>;
}

/**
 * Finds the lanes of batches, also where Redis has lost them: the chunks tell what they were. Lost cursors begin at 0 again: what has ended is
 * passed over, and what has a job is not given a second one.
 */
export class LostLanes {
  readonly #parts: LostLanesParts;
  readonly #searches = new Map<string, Search>();
  readonly #told = new Map<string, LanesLost['key']>();

  constructor(parts: LostLanesParts) {
    this.#parts = parts;
  }

  /**
   * The lanes of a batch, none of a direct one; undefined while its chunks are read, some in each round.
   * @throws when a chunk with items that pend is not there either
   */
  async lanesOf(batch: Batch): Promise<readonly Lane[] | undefined> {
    const lanes = await this.#parts.ledger.lanes.of(batch.id);
    if (isDirectBatch(batch.id)) return lanes;
    if (lanes.length === 0) return this.#restored(batch);
    if (batch.fed > 0 && lanes.every(({ cursor }) => cursor === 0)) this.#tellOnce(batch.id, 'cursors');
    return lanes;
  }

  forgetOthers(batches: ReadonlySet<string>): void {
    for (const id of this.#searches.keys()) if (!batches.has(id)) this.#searches.delete(id);
    for (const id of this.#told.keys()) if (!batches.has(id)) this.#told.delete(id);
  }

  async #restored(batch: Batch): Promise<readonly Lane[] | undefined> {
    const { ledger } = this.#parts;
    this.#tellOnce(batch.id, 'lanes');
    const search = this.#searches.get(batch.id) ?? { chunk: 0, lanes: new Map<string, ChunkRanges>() };
    this.#searches.set(batch.id, search);
    const end = chunkOf(batch.counts.accepted - 1) + 1;
    for (let read = 0; read < CHUNKS_A_ROUND && search.chunk < end; read += 1) {
      await this.#read(batch, search);
      search.chunk += 1;
    }
    if (search.chunk < end) return undefined;
    await ledger.lanes.restore(batch.id, search.lanes);
    return ledger.lanes.of(batch.id);
  }

  async #read(batch: Batch, { chunk, lanes }: Search): Promise<void> {
    const certificates = await this.#parts.ledger.items.chunk(batch.id, chunk);
    if (certificates === undefined) {
      // Those of a cancelled batch are ended without it.
      if (batch.state !== 'cancelled' && !(await this.#isSettled(batch, chunk))) throw chunkMissing(batch.id, chunk);
      return;
    }
    for (const instanceId of new Set(certificates.map((certificate) => certificate.instanceId))) {
      lanes.set(instanceId, appendChunk(lanes.get(instanceId) ?? [], chunk));
    }
  }

  async #isSettled({ id, counts }: Batch, chunk: number): Promise<boolean> {
    const open = await this.#parts.ledger.items.nextOpen(id, chunk * CHUNK_ITEMS);
    return open >= Math.min((chunk + 1) * CHUNK_ITEMS, counts.accepted);
  }

  #tellOnce(batch: string, key: LanesLost['key']): void {
    if (this.#told.get(batch) === key) return;
    this.#told.set(batch, key);
    this.#parts.tell({ kind: 'lanes-lost', batch, key });
  }
}
