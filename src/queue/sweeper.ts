import { reconcile } from '../core/decide.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { letterOf } from './endings.ts';
import { placedData, type Item, type ItemLocator } from './item.ts';
import type { RevokeQueue } from './revoke-queue.ts';

/** Failed jobs looked at in one round. */
const ROUND = 200;

/**
 * Empties BullMQ's failed set. A processor never fails a job, so what lands there stalled too often: its worker died with it time and again.
 * It becomes a dead letter, which an operator can retry; the job goes.
 * @returns how many
 */
export async function sweepFailed(queue: RevokeQueue, locator: ItemLocator, ledger: Ledger): Promise<number> {
  const jobs = await queue.bull.getFailed(0, ROUND - 1);
  let swept = 0;
  for (const job of jobs) {
    const located = await locator.locate(job);
    const data = placedData(job.data, located);
    if (data !== undefined) await job.updateData(data);
    const message = `the queue gave the job up: ${job.failedReason}`;
    const lockKey = queue.bull.toKey(`${job.id}:lock`);
    if (!(await settleGivenUp(ledger, lockKey, located.item, { code: 'stalled-too-often', message }))) continue;
    await job.remove();
    swept += 1;
  }
  return swept;
}

/** @returns false where the job may go on after all */
async function settleGivenUp(
  ledger: Ledger,
  lockKey: string,
  item: Item,
  why: { readonly code: string; readonly message: string },
): Promise<boolean> {
  const { batch, n, attempt, retries, told, adoptedFrom } = item;
  const settled = await ledger.settle({
    batch,
    n,
    outcome: 'dead',
    code: why.code,
    requestId: '',
    attempts: attempt.calls,
    letter: JSON.stringify(await letterOf(ledger, item, why, '')),
    retries,
    ...(adoptedFrom !== undefined && { jobId: adoptedFrom }),
    // No run has the job, nor may one.
    run: { lock: { key: lockKey, token: '' }, name: '', told },
    doubt: attempt.effectUnknown,
  });
  if (settled === 'lock-lost') return false;
  if (settled !== 'none' && settled !== 'told' && settled !== 'untold') return true;
  return settleGivenUp(ledger, lockKey, { ...item, attempt: reconcile(attempt, settled) }, why);
}
