import { randomUUID } from 'node:crypto';
import type { ChunkReader } from '../../ledger/chunk-reader.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import type { Claim } from '../../ledger/waiting.ts';
import type { BatchStateCache } from '../batch-state-cache.ts';
import type { Item } from './item.ts';
import { stepsOf } from './steps.ts';

/** Finds the item that waited and was claimed; undefined where Redis has lost the item, or its batch was forgotten. */
export async function resolveClaim(
  parts: {
    readonly ledger: Pick<Ledger, 'retirements' | 'waiting'>;
    readonly chunks: ChunkReader;
    readonly states: BatchStateCache;
  },
  claim: Claim,
): Promise<Item | undefined> {
  const { ledger, chunks, states } = parts;
  const { batch, n, score } = claim;
  const [item, state] = await Promise.all([chunks.item(batch, n), states.of(batch)]);
  // Without its batch nobody knows what to do with it; left where it is, it would be taken again and again.
  if (state === undefined) {
    await ledger.waiting.drop(claim);
    return undefined;
  }
  if (item === undefined) return undefined;
  const isUrgent = state.priority === 'urgent';
  const step = (await stepsOf(ledger, state, batch, [n]))(n);
  return { ...item, batch, n, ...step, isUrgent, run: { kind: 'claim', name: randomUUID(), score } };
}
