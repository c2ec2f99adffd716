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
 * Streams the outcomes of a batch from its ledger, in the order in which they came; memory does not grow with the batch.
 * An item that was dead and is tried again appears with its last outcome only. Outcomes that come while the report is read are part of it.
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
  const superseded = new Set(await redis.smembers(of.superseded));
  for (let from = '-'; ;) {
    const entries = await redis.xrange(of.ledger, from, '+', 'COUNT', PAGE);
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
