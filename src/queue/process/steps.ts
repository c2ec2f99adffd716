import type { Ledger } from '../../ledger/ledger.ts';
import type { BatchGate } from '../batch-state-cache.ts';
import type { Item } from './item.ts';

type Step = Pick<Item, 'action' | 'isRetiring'>;

/** What to do with items of a batch: where it retires, that depends on which of them were marked inactive. */
export async function stepsOf(
  { retirements }: Pick<Ledger, 'retirements'>,
  { action }: Pick<BatchGate, 'action'>,
  batch: string,
  ordinals: readonly number[],
): Promise<(n: number) => Step> {
  if (action !== 'retire') {
    const step = { action };
    return () => step;
  }
  const isMarked = await retirements.areMarked(batch, ordinals);
  return (n) => ({ action: isMarked(n) ? 'delete' : 'inactivate', isRetiring: true });
}
