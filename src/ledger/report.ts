import type { Redis } from 'ioredis';
import type { Outcome } from '../core/batch.ts';
import type { Certificate } from '../core/certificate.ts';
import { outcomeNamed } from './batch-record.ts';
import { ChunkReader } from './chunk-reader.ts';
import type { Ledger } from './ledger.ts';

/** One line of a report: an item's end. */
export interface ReportRow extends Certificate {
  readonly ordinal: number;
  readonly outcome: Outcome;
  readonly code: string;
  readonly requestId: string;
  readonly attempts: number;
  /** ISO 8601, UTC, from the clock of Redis. */
  readonly settledAt: string;
}

/** Ledger entries read at once. */
const PAGE = 1_000;

/**
 * Streams the outcomes that a batch has when the reading begins, in the order in which they came; memory does not grow with the batch.
 * Each item appears at most once. One that was dead and is tried again appears with its last outcome only; one that is retried during the reading,
 * as dead where the reading was past it, and else not at all.
 * @throws when the ledger and the chunks disagree, naming the item
 */
export async function* reportRows(
  redis: Redis,
  ledger: Ledger,
  batch: string,
  only?: Outcome,
): AsyncGenerator<ReportRow> {
  const of = ledger.keys.of(batch);
  const chunks = new ChunkReader(ledger, 64);
  const [end] = await redis.xrevrange(of.ledger, '+', '-', 'COUNT', 1);
  if (end === undefined) return;
  for (let from = '-'; ;) {
    // Up to the end that was seen first: behind it could be what became of an item that is listed already.
    const entries = await redis.xrange(of.ledger, from, end[0], 'COUNT', PAGE);
    const superseded = await supersededOf(redis, of.superseded, entries);
    for (const [id, fields] of entries) {
      const entry = readEntry(fields);
      if (entry === undefined || superseded.has(id)) continue;
      if (only !== undefined && entry.outcome !== only) continue;
      const certificate = await chunks.certificate(batch, entry.n);
      if (certificate === undefined) {
        throw new Error(
          `batch ${batch} has an outcome for item ${entry.n} but not the item: its chunks are no longer whole`,
        );
      }
      const { instanceId, caSn, deviceSn } = certificate;
      const { n: ordinal, outcome, code, requestId, attempts } = entry;
      const settledAt = new Date(Number.parseInt(id, 10)).toISOString();
      yield { ordinal, instanceId, caSn, deviceSn, outcome, code, requestId, attempts, settledAt };
    }
    const last = entries.at(-1)?.[0];
    if (last === undefined || entries.length < PAGE) return;
    from = `(${last}`;
  }
}

type StreamEntry = readonly [id: string, fields: readonly string[]];

/** Those of the entries that no longer count: an item that settles again did so behind them, after they were marked. */
async function supersededOf(redis: Redis, key: string, entries: readonly StreamEntry[]): Promise<ReadonlySet<string>> {
  if (entries.length === 0) return new Set();
  const ids = entries.map(([id]) => id);
  const isSuperseded = await redis.smismember(key, ...ids);
  return new Set(ids.filter((_, at) => isSuperseded[at] === 1));
}

interface Entry {
  readonly n: number;
  readonly outcome: Outcome;
  readonly code: string;
  readonly requestId: string;
  readonly attempts: number;
}

/** Undefined for the notes between outcomes: an item reopened, a letter discarded. */
function readEntry(fields: readonly string[]): Entry | undefined {
  const value = new Map<string, string>();
  for (let index = 0; index + 1 < fields.length; index += 2) value.set(fields[index] ?? '', fields[index + 1] ?? '');
  const outcome = outcomeNamed(value.get('outcome') ?? '');
  if (outcome === undefined) return undefined;
  const text = (field: string): string => value.get(field) ?? '';
  return {
    n: Number(text('n')),
    outcome,
    code: text('code'),
    requestId: text('requestId'),
    attempts: Number(text('attempts')),
  };
}
