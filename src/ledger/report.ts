import type { Redis } from 'ioredis';
import type { Outcome } from '../core/batch.ts';
import type { Certificate } from '../core/certificate.ts';
import { ChunkReader, type CertificateSource } from './chunk-reader.ts';
import { isDirectBatch } from './direct-items.ts';
import { outcomesOf, settledAtOf, type OutcomeEntry } from './entries.ts';
import type { LedgerStore } from './keys.ts';

/** One line of a report: an item's end. */
export interface ReportRow extends Certificate {
  readonly ordinal: number;
  readonly outcome: Outcome;
  readonly code: string;
  readonly requestId: string;
  /** HTTP calls made. */
  readonly attempts: number;
  /** ISO 8601, UTC, from the clock of Redis. */
  readonly settledAt: string;
}

/** The ledger and the chunks of a batch disagree. */
export class ReportNotWhole extends Error {
  override readonly name = 'ReportNotWhole';
}

/** Ledger entries read at once. */
const PAGE = 1_000;

/**
 * Streams the outcomes that a batch has when the reading begins, in the order in which they came; memory does not grow with the batch.
 * Each item appears at most once. One that was dead and is tried again appears with its last outcome only; one that is retried during the reading,
 * as dead where the reading was past it, and else not at all.
 * @throws ReportNotWhole, naming the item
 */
export async function* reportRows(
  ledger: LedgerStore & CertificateSource,
  batch: string,
  only?: Outcome,
): AsyncGenerator<ReportRow> {
  const chunks = new ChunkReader(ledger, 64);
  for await (const [id, { n: ordinal, outcome, code, requestId, calls }] of settledItems(ledger, batch)) {
    if (only !== undefined && outcome !== only) continue;
    const certificate = await chunks.certificate(batch, ordinal);
    if (certificate === undefined) {
      if (await isForgotten(ledger, batch, id)) continue;
      throw new ReportNotWhole(
        `batch ${batch} has an outcome for item ${ordinal} but not the item: its chunks are no longer whole`,
      );
    }
    const { instanceId, caSn, deviceSn } = certificate;
    const settledAt = settledAtOf(id);
    yield { ordinal, instanceId, caSn, deviceSn, outcome, code, requestId, attempts: calls, settledAt };
  }
}

/** What a report is made of, without the certificates: each outcome with the id of its entry. */
export async function* settledItems(
  { redis, keys }: LedgerStore,
  batch: string,
): AsyncGenerator<readonly [id: string, entry: OutcomeEntry]> {
  const of = keys.of(batch);
  const [end] = await redis.xrevrange(of.ledger, '+', '-', 'COUNT', 1);
  if (end === undefined) return;
  for (let from = '-'; ;) {
    // Up to the end that was seen first: behind it could be the outcome of an item that is listed already.
    const entries = await redis.xrange(of.ledger, from, end[0], 'COUNT', PAGE);
    const superseded = await supersededOf(redis, of.superseded, entries);
    for (const [id, fields] of entries) {
      if (superseded.has(id)) continue;
      for (const entry of outcomesOf(fields)) yield [id, entry];
    }
    const last = entries.at(-1)?.[0];
    if (last === undefined || entries.length < PAGE) return;
    from = `(${last}`;
  }
}

/**
 * Outcomes behind a place in the ledger, for a reader that continues: each with its time, Unix milliseconds.
 * @param most - entries that are read at most
 */
export async function outcomesAfter(
  { redis, keys }: LedgerStore,
  batch: string,
  after: string | undefined,
  most: number,
): Promise<{
  readonly outcomes: readonly (readonly [atMs: number, entry: OutcomeEntry])[];
  /** The place of the last entry that was read, or where it began. */
  readonly last: string | undefined;
  readonly isEnd: boolean;
}> {
  const of = keys.of(batch);
  const outcomes: (readonly [number, OutcomeEntry])[] = [];
  let last = after;
  for (let read = 0; read < most; read += PAGE) {
    const entries = await redis.xrange(of.ledger, last === undefined ? '-' : `(${last}`, '+', 'COUNT', PAGE);
    const superseded = await supersededOf(redis, of.superseded, entries);
    for (const [id, fields] of entries) {
      if (superseded.has(id)) continue;
      for (const entry of outcomesOf(fields)) outcomes.push([Number.parseInt(id, 10), entry]);
    }
    last = entries.at(-1)?.[0] ?? last;
    if (entries.length < PAGE) return { outcomes, last, isEnd: true };
  }
  return { outcomes, last, isEnd: false };
}

/** The settled items of a direct batch may be forgotten while they are read, and their entries with them. */
async function isForgotten({ redis, keys }: LedgerStore, batch: string, entry: string): Promise<boolean> {
  return isDirectBatch(batch) && (await redis.xrange(keys.of(batch).ledger, entry, entry)).length === 0;
}

/** An entry of the ledger as Redis gives it. */
export type StreamEntry = readonly [id: string, fields: readonly string[]];

/** Those of the entries that no longer count: an item that settles again did so behind them, after they were marked. */
export async function supersededOf(
  redis: Redis,
  key: string,
  entries: readonly StreamEntry[],
): Promise<ReadonlySet<string>> {
  if (entries.length === 0) return new Set();
  const ids = entries.map(([id]) => id);
  const isSuperseded = await redis.smismember(key, ...ids);
  return new Set(ids.filter((_, at) => isSuperseded[at] === 1));
}
