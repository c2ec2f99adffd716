import { entryOf, lineOf, storedEntries, verifyChain, type ChainVerdict } from '../audit/chain.ts';
import type { AuditEntry } from '../audit/entry.ts';
import type { Store } from './store.ts';

export type { ChainVerdict } from '../audit/chain.ts';
export type { AuditEntry } from '../audit/entry.ts';

export interface AuditFilter {
  readonly batch?: string;
  /** Unix milliseconds. */
  readonly since?: number;
}

/** Some entries of the record, the oldest first. */
export interface AuditPage {
  readonly entries: readonly AuditEntry[];
  /** Where to continue; absent where the record ends for now. */
  readonly next?: string;
}

export interface AuditLine {
  /** Undefined for what nobody can read. */
  readonly entry: AuditEntry | undefined;
  /** One object of JSON, with the very bytes that were hashed. */
  readonly line: string;
}

/** Entries of the record, the oldest first. What nobody can read is of every batch. */
export async function* auditLines({ redis, ledger }: Store, { batch, since }: AuditFilter): AsyncGenerator<AuditLine> {
  const from = since === undefined ? '-' : String(since);
  for await (const stored of storedEntries(redis, ledger.keys.audit, from)) {
    const entry = entryOf(stored);
    if (batch !== undefined && entry !== undefined && entry.batch !== batch) continue;
    yield { entry, line: lineOf(stored) };
  }
}

/**
 * A page of the record. What nobody can read is left out: `verifyAudit` finds it.
 * @param after - the `next` of the page before
 */
export async function auditPage(
  { redis, ledger }: Store,
  { batch, since }: AuditFilter,
  limit: number,
  after?: string,
): Promise<AuditPage> {
  const entries: AuditEntry[] = [];
  const from = after !== undefined ? `(${after}` : since === undefined ? '-' : String(since);
  let last: string | undefined;
  for await (const stored of storedEntries(redis, ledger.keys.audit, from)) {
    if (entries.length === limit) return { entries, ...(last !== undefined && { next: last }) };
    last = stored.id;
    const entry = entryOf(stored);
    if (entry !== undefined && (batch === undefined || entry.batch === batch)) entries.push(entry);
  }
  return { entries };
}

export async function verifyAudit({ redis, ledger }: Store): Promise<ChainVerdict> {
  return verifyChain(redis, ledger.keys.audit);
}
