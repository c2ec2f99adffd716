import type { Redis } from 'ioredis';
import { pendingOf } from '../core/batch.ts';
import { Ledger } from '../ledger/ledger.ts';
import { allHalts, type AnyHalt } from '../limiter/halts/host-halts.ts';
import { readStop } from '../limiter/halts/stop.ts';
import type { Stop } from '../limiter/contract.ts';
import { KEY_PREFIX } from '../queue/contract.ts';

/** What there is to do in a Redis, and what holds it up. */
export interface WorkSnapshot {
  /** Every call of every account is stopped. */
  readonly stop?: Stop;
  readonly halts: readonly AnyHalt[];
  /** Batches with items pending, those that are paused not counted. */
  readonly running: number;
  /** Items, over all of them. */
  readonly pending: number;
  readonly paused: readonly PausedBatch[];
}

export interface PausedBatch {
  readonly batch: string;
  readonly pending: number;
  /** Absent where an operator did it. */
  readonly pausedBecause?: string;
}

/** Reads the batches that have items pending. It rejects with Redis' errors. */
export async function readWork(redis: Redis): Promise<WorkSnapshot> {
  const ledger = new Ledger(redis, KEY_PREFIX);
  const [batches, halts, stop] = await Promise.all([
    ledger.batches.active(),
    allHalts(redis, KEY_PREFIX),
    readStop(redis, KEY_PREFIX),
  ]);
  const paused = batches.filter(({ state }) => state === 'paused');
  return {
    ...(stop !== undefined && { stop }),
    halts,
    running: batches.length - paused.length,
    pending: batches.reduce((sum, { counts }) => sum + pendingOf(counts), 0),
    paused: paused.map(({ id, counts, pausedBecause }) => ({
      batch: id,
      pending: pendingOf(counts),
      ...(pausedBecause !== undefined && { pausedBecause }),
    })),
  };
}
