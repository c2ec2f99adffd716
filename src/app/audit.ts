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

export async function verifyAudit({ redis, ledger }: Store): Promise<ChainVerdict> {
  return verifyChain(redis, ledger.keys.audit);
}
