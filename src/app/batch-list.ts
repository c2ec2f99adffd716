import type { Batch } from '../ledger/batch-record.ts';
import { accountsOfBatch } from './accounts.ts';
import { detailOf, type BatchDetail } from './overview.ts';
import type { Store } from './store.ts';

/** Some batches, the newest first. */
export interface BatchPage {
  readonly batches: readonly BatchDetail[];
  /** Asks for the page behind it; absent at the end. */
  readonly next?: string;
}

export interface BatchPageRequest {
  readonly limit: number;
  /** The `next` of the page before. */
  readonly cursor?: string;
  /** Only batches that touch nothing but these; a page may then have fewer than it could. */
  readonly accounts?: readonly string[];
}

/** Undefined where the cursor is none. */
export async function batchPage(
  store: Store,
  { limit, cursor, accounts }: BatchPageRequest,
): Promise<BatchPage | undefined> {
  const after = cursor === undefined ? undefined : placeOf(cursor);
  if (cursor !== undefined && after === undefined) return undefined;
  const { batches, last } = await store.ledger.batches.page(limit, after);
  const details = await detailsOf(store, batches, accounts);
  return { batches: details, ...(last !== undefined && { next: `${last.score}.${last.id}` }) };
}

/** Batches with items pending, however old. @param accounts - only batches that touch nothing but these */
export async function activeBatches(store: Store, accounts?: readonly string[]): Promise<readonly BatchDetail[]> {
  return detailsOf(store, await store.ledger.batches.active(), accounts);
}

async function detailsOf(
  store: Store,
  batches: readonly Batch[],
  accounts: readonly string[] | undefined,
): Promise<readonly BatchDetail[]> {
  const isShown = await Promise.all(
    batches.map(async ({ id }) => {
      if (accounts === undefined) return true;
      const touched = await accountsOfBatch(store, id);
      return [...touched].every((account) => accounts.includes(account));
    }),
  );
  const shown = batches.filter((_, at) => isShown[at]);
  return Promise.all(shown.map((batch) => detailOf(store.ledger, batch)));
}

function placeOf(cursor: string): { readonly score: number; readonly id: string } | undefined {
  const [, score = '', id = ''] = /^(\d{1,15})\.([\w.-]{1,128})$/.exec(cursor) ?? [];
  return score === '' ? undefined : { score: Number(score), id };
}
