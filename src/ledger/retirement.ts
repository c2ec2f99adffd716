import { PHASES, type Phase, type RetireDetails } from '../core/retirement.ts';
import { script } from '../runtime/redis/script.ts';
import { CHUNK_ITEMS } from './chunk.ts';
import type { LedgerStore } from './keys.ts';
import { ARE_MARKED, NEXT_PHASE } from './retirement.lua.ts';

/** Where a batch that retires stands. */
export interface Retirement extends RetireDetails {
  readonly phase: Phase;
  /** Items that were marked inactive and wait for the end of the soak: they are pending. */
  readonly passed: number;
  /** When the soak ends, Unix milliseconds by Redis' clock; while it soaks. */
  readonly soakUntil?: number;
}

/** Where the batch went, or how long it has to wait. */
export interface NextPhase {
  readonly phase: Phase | undefined;
  readonly isNew: boolean;
  /** Until the soak is over; 0 where it does not soak. */
  readonly leftMs: number;
}

const nextScript = script<[phase: string, isNew: number, leftMs: number]>(NEXT_PHASE);
const markedScript = script<number[]>(ARE_MARKED);

/** Reads it from the record of a batch that retires. */
export function parseRetirement(hash: Readonly<Record<string, string>>): Retirement {
  const soakUntil = hash['soakUntil'];
  return {
    phase: PHASES.find((known) => known === hash['phase']) ?? 'inactivating',
    passed: Number(hash['passed'] ?? 0),
    soakMs: Number(hash['soakMs'] ?? 0),
    deviceDestroyed: hash['deviceDestroyed'] === '1',
    ...(soakUntil !== undefined && { soakUntil: Number(soakUntil) }),
  };
}

/** The phases of batches that retire certificates. */
export class Retirements {
  readonly #store: LedgerStore;

  constructor(store: LedgerStore) {
    this.#store = store;
  }

  /** Moves a running batch to its next phase where the time has come. A second time changes nothing. */
  async next(batch: string): Promise<NextPhase> {
    const { redis, keys } = this.#store;
    const { record, settled, marked, cursors } = keys.of(batch);
    const [phase, isNew, leftMs] = await nextScript(redis, [record, settled, marked, cursors, keys.signals], []);
    return { phase: PHASES.find((known) => known === phase), isNew: isNew === 1, leftMs };
  }

  /** Which items of a chunk were marked inactive, by their position in it. */
  async markedOfChunk(batch: string, chunk: number): Promise<(position: number) => boolean> {
    const { redis, keys } = this.#store;
    const from = (chunk * CHUNK_ITEMS) / 8;
    const bits = await redis.getrangeBuffer(keys.of(batch).marked, from, from + CHUNK_ITEMS / 8 - 1);
    return (position) => ((bits[position >> 3] ?? 0) & (0x80 >> (position & 7))) !== 0;
  }

  /** Which items were marked inactive: they are deleted next, and all others are marked. */
  async areMarked(batch: string, ordinals: readonly number[]): Promise<(n: number) => boolean> {
    return this.#bits(this.#store.keys.of(batch).marked, ordinals);
  }

  /** Which items were marked inactive, and were not before. */
  async areMarkedByUs(batch: string, ordinals: readonly number[]): Promise<(n: number) => boolean> {
    const { marked, markedBefore } = this.#store.keys.of(batch);
    const [isMarked, wasBefore] = await Promise.all([this.#bits(marked, ordinals), this.#bits(markedBefore, ordinals)]);
    return (n) => isMarked(n) && !wasBefore(n);
  }

  async #bits(key: string, ordinals: readonly number[]): Promise<(n: number) => boolean> {
    if (ordinals.length === 0) return () => false;
    const bits = await markedScript(this.#store.redis, [key], [...ordinals]);
    const set = new Set(ordinals.filter((_, at) => bits[at] === 1));
    return (n) => set.has(n);
  }
}
