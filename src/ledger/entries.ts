import type { Outcome } from '../core/batch.ts';
import { outcomeNamed } from './batch-record.ts';

/** One outcome in the ledger stream. */
export interface OutcomeEntry {
  readonly n: number;
  readonly outcome: Outcome;
  readonly code: string;
  readonly requestId: string;
  /** HTTP calls made. */
  readonly calls: number;
}

type Row = readonly [n: number, requestId: string, calls?: number, code?: string];

/**
 * The outcomes of one entry of the stream, none for the notes between them (an item reopened, a letter discarded). An entry holds one item, in
 * fields that begin with `n`, or several of one outcome: the field is the outcome's name, its value a JSON list of
 * `[ordinal, requestId, calls, code]`, of which the last two are left out where they are 1 and OK.
 */
export function outcomesOf(fields: readonly string[]): readonly OutcomeEntry[] {
  const [first = '', second = ''] = fields;
  if (first === 'n') return single(fields);
  const outcome = outcomeNamed(first);
  if (outcome === undefined) return [];
  return (JSON.parse(second) as Row[]).map(([n, requestId, calls = 1, code = 'OK']) => {
    return { n, outcome, code, requestId, calls };
  });
}

/** When an entry was written, in ISO 8601, UTC: its id begins with the time of Redis' clock. */
export function settledAtOf(id: string): string {
  return new Date(Number.parseInt(id, 10)).toISOString();
}

function single(fields: readonly string[]): readonly OutcomeEntry[] {
  const value = new Map<string, string>();
  for (let index = 0; index + 1 < fields.length; index += 2) value.set(fields[index] ?? '', fields[index + 1] ?? '');
  const text = (field: string): string => value.get(field) ?? '';
  const outcome = outcomeNamed(text('outcome'));
  if (outcome === undefined) return [];
  const [code, requestId] = [text('code'), text('requestId')];
  return [{ n: Number(text('n')), outcome, code, requestId, calls: Number(text('attempts')) }];
}
