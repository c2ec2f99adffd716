import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Certificate } from '../core/certificate.ts';
import type { Priority } from '../ledger/batch-record.ts';
import { JOB_NAME, JOB_PRIORITY, jobIdOf, queueName, type JobData } from './contract.ts';

/** An item of a batch that is to be handed to the queue. */
export interface ItemToFeed {
  readonly batch: string;
  readonly n: number;
  readonly certificate: Certificate;
  /** Of a standing batch: what it was adopted under. */
  readonly key?: string;
  /** The job that it was adopted from, where that was lost. */
  readonly jobId?: string;
  /** How often its dead letter was retried. */
  readonly retries?: number;
  /** A call of it may have left, and may have worked. */
  readonly departed?: boolean;
}

/**
 * Jobs added at once. BullMQ takes batches of 1,000 a third faster, but packing one stalls the event loop for some 20 ms,
 * and slots are void after 25.
 */
const BULK = 200;

/** The job options of every job: nothing of it stays behind, since the ledger keeps the record. */
const OPTIONS = { removeOnComplete: true, attempts: 1 } as const;

/** How much an account's queue holds, by what it waits for. */
export interface Backlog {
  /** Ready to run. */
  readonly ready: number;
  /** Ready, of urgent batches. */
  readonly urgent: number;
  readonly delayed: number;
  readonly active: number;
  readonly failed: number;
}

/** The queue of one account: adding to it and looking at it. */
export class RevokeQueue {
  readonly bull: Queue;
  readonly #redis: Redis;

  /** @param redis - not closed with the queue */
  constructor(redis: Redis, prefix: string, account: string) {
    this.#redis = redis;
    this.bull = new Queue(queueName(account), { connection: redis, prefix, skipVersionCheck: true });
    // Its connection reports its own errors; without a listener each would end the process.
    this.bull.on('error', () => undefined);
  }

  /** Adding an item that the queue holds already changes nothing. */
  async feed(items: readonly ItemToFeed[], priority: Priority): Promise<void> {
    for (let from = 0; from < items.length; from += BULK) {
      const jobs = items.slice(from, from + BULK).map((item) => ({
        name: JOB_NAME,
        data: jobDataOf(item),
        opts: { ...OPTIONS, jobId: jobIdOfItem(item), priority: JOB_PRIORITY[priority] },
      }));
      await this.bull.addBulk(jobs);
    }
  }

  /** Of each item, whether it has a job, wherever in the queue. */
  async holds(items: readonly Omit<ItemToFeed, 'certificate'>[]): Promise<boolean[]> {
    const found = await Promise.all(items.map(async (item) => this.#redis.exists(...this.jobKeysOf(item))));
    return found.map((count) => count > 0);
  }

  /** Where the item's job is in Redis, under each id that it may have. */
  jobKeysOf(item: Omit<ItemToFeed, 'certificate'>): string[] {
    const ids = [jobIdOf(item.batch, item.n, item.retries ?? 0), jobIdOfItem(item)];
    // An id that stood for another certificate already was adopted with a suffix, which its job has not.
    if (item.jobId !== undefined) ids.push(item.jobId.replace(/#[0-9a-f]{40}$/, ''));
    return [...new Set(ids.map((id) => this.bull.toKey(id)))];
  }

  async backlog(): Promise<Backlog> {
    const [counts, urgent] = await Promise.all([
      this.bull.getJobCounts('waiting', 'prioritized', 'delayed', 'active', 'failed'),
      this.bull.getCountsPerPriority([JOB_PRIORITY.urgent]),
    ]);
    const count = (state: string): number => counts[state] ?? 0;
    return {
      ready: count('waiting') + count('prioritized'),
      urgent: urgent[String(JOB_PRIORITY.urgent)] ?? 0,
      delayed: count('delayed'),
      active: count('active'),
      failed: count('failed'),
    };
  }

  async close(): Promise<void> {
    await this.bull.close();
  }
}

/** A lost job comes back under its own id, so that its producer cannot add a second one beside it. */
function jobIdOfItem({ batch, n, jobId, retries = 0 }: Omit<ItemToFeed, 'certificate'>): string {
  return retries === 0 && jobId !== undefined ? jobId : jobIdOf(batch, n, retries);
}

function jobDataOf({ batch, n, certificate, key }: ItemToFeed): JobData {
  const { instanceId, caSn, deviceSn } = certificate;
  return {
    v: 1,
    instanceId,
    caSn,
    deviceSn,
    batch,
    n,
    ...(key !== undefined && { key }),
  };
}
