import type { Ledger } from '../ledger/ledger.ts';
import type { ItemLocator } from './item.ts';
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
  for (const job of jobs) {
    // No start is under way: one more than BullMQ counts, so that the last one too is seen to have ended without a word.
    const { item } = await locator.locate({ id: job.id, data: job.data, attemptsStarted: job.attemptsStarted + 1 });
    const { batch, n, attempt, certificate, history, retries, adoptedFrom } = item;
    const message = `the queue gave the job up: ${job.failedReason}`;
    const code = 'stalled-too-often';
    const { calls: attempts, effectUnknown } = attempt;
    const letter = { ...certificate, code, message, requestId: '', attempts, at: Date.now(), effectUnknown, history };
    await ledger.settle({
      batch,
      n,
      outcome: 'dead',
      code,
      requestId: '',
      attempts,
      retries,
      letter: JSON.stringify(letter),
      ...(adoptedFrom !== undefined && { jobId: adoptedFrom }),
    });
    await job.remove();
  }
  return jobs.length;
}
