import type { Job as BullJob, Queue } from 'bullmq';
import { BeingCancelled, HourlyLimitReached } from '../../ledger/direct-items.ts';
import type { Run } from '../../ledger/call-notes.ts';
import { parseBlock } from '../contract.ts';
import type { ItemRunner } from '../process/item-runner.ts';
import { placedData, type JobResolver } from '../process/resolve-job.ts';
import { resolveBlock } from '../process/resolve-block.ts';
import type { AccountQueues } from '../queues.ts';
import type { JobRunnerParts } from './job-runner.ts';

export interface RescuerParts extends Pick<JobRunnerParts, 'ledger' | 'chunks' | 'states'> {
  readonly queues: AccountQueues;
  readonly resolver: JobResolver;
  readonly items: Pick<ItemRunner, 'endDead'>;
}

/** Failed jobs looked at in one round. */
const ROUND = 200;

/**
 * Empties BullMQ's failed sets. No job is failed on purpose, so what lands there stalled too often: its worker died with it again and again. The item
 * of a single job becomes a dead letter, which an operator can retry; those of a block wait, and continue one by one.
 * @returns how many
 */
export async function rescueFailed(parts: RescuerParts): Promise<number> {
  const { queues } = parts;
  let rescued = 0;
  for (const job of await queues.direct.getFailed(0, ROUND - 1)) {
    try {
      if (await endGivenUp(parts, job, runOf(queues.direct, job))) rescued += 1;
    } catch (error) {
      // It stays where it is until its direct batch takes something in again.
      if (!(error instanceof HourlyLimitReached || error instanceof BeingCancelled)) throw error;
      break;
    }
  }
  for (const queue of [queues.blocks.urgent, queues.blocks.bulk]) {
    for (const job of await queue.getFailed(0, ROUND - 1)) {
      await parkBlock(parts, job, runOf(queue, job));
      rescued += 1;
    }
  }
  return rescued;
}

/** @returns false where the job may continue after all */
async function endGivenUp({ resolver, items }: RescuerParts, job: BullJob, run: Run): Promise<boolean> {
  const { id, data, attemptsStarted } = job;
  const resolved = await resolver.resolve({ id, data, attemptsStarted, isUrgent: false, run });
  if (resolved.kind !== 'stale') {
    const placed = placedData(job.data, resolved);
    if (placed !== undefined) await job.updateData(placed);
    const message = `the queue gave the job up: ${job.failedReason}`;
    if ((await items.endDead(resolved.item, { code: 'stalled-too-often', message })) === 'stays') return false;
  }
  await job.remove();
  return true;
}

async function parkBlock(parts: RescuerParts, job: BullJob, run: Run): Promise<void> {
  const { ledger } = parts;
  const block = parseBlock(job.data);
  const resolved = block === undefined ? undefined : await resolveBlock(parts, block, run);
  if (block !== undefined && resolved?.kind === 'items') {
    const ordinals = resolved.items.map(({ n }) => n);
    await ledger.waiting.park(block.batch, block.instanceId, ordinals);
  }
  await job.remove();
}

/** Nobody has the job, nor may. */
function runOf(queue: Queue, { id }: BullJob): Run {
  return { kind: 'job', lockKey: queue.toKey(`${id ?? ''}:lock`), token: '' };
}
