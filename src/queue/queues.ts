import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Motive } from '../audit/note.ts';
import type { Certificate } from '../core/certificate.ts';
import type { Priority } from '../ledger/batch-record.ts';
import * as bullmq from './bullmq.ts';
import {
  blockId,
  blockQueueName,
  JOB_NAME,
  JOB_PRIORITY,
  jobIdOf,
  queueName,
  type Block,
  type BlockData,
  type JobData,
} from './contract.ts';

/** A direct item that is to have a job. */
export interface DirectItem extends Motive {
  readonly batch: string;
  readonly n: number;
  readonly certificate: Certificate;
  /** What it was adopted under. */
  readonly key: string;
  readonly expires?: number;
  readonly sig?: string;
}

/** Jobs added at once: packing more stalls the event loop for longer than slots are good for. */
const BULK = 200;

/** The job options of every job: nothing of it stays behind, since the ledger keeps the record. */
const OPTIONS = { removeOnComplete: true, attempts: 1 } as const;

const PRIORITIES: readonly Priority[] = ['urgent', 'bulk'];

/** How many jobs an account's queues hold. */
export interface Backlog {
  /** Blocks ready to run. */
  readonly blocks: Readonly<Record<Priority, number>>;
  /** Single jobs ready to run. */
  readonly direct: number;
  readonly delayed: number;
  readonly active: number;
  readonly failed: number;
}

/** The queues of one account: the one that producers add to, and those of the blocks. */
export class AccountQueues {
  readonly direct: Queue;
  readonly blocks: Readonly<Record<Priority, Queue>>;
  readonly #redis: Redis;

  /** @param redis - not closed with the queues */
  constructor(redis: Redis, prefix: string, account: string) {
    this.#redis = redis;
    const open = (name: string): Queue => {
      const queue = new bullmq.Queue(name, { connection: redis, prefix, skipVersionCheck: true });
      // Its connection reports its own errors; without a listener each would end the process.
      queue.on('error', () => undefined);
      return queue;
    };
    this.direct = open(queueName(account));
    this.blocks = {
      urgent: open(blockQueueName(account, 'urgent')),
      bulk: open(blockQueueName(account, 'bulk')),
    };
  }

  /** Adding a block that the queue holds already changes nothing. */
  async addBlocks(blocks: readonly Block[], priority: Priority): Promise<void> {
    for (let from = 0; from < blocks.length; from += BULK) {
      const jobs = blocks.slice(from, from + BULK).map((block) => ({
        name: JOB_NAME,
        data: { v: 2, ...block } satisfies BlockData,
        opts: { ...OPTIONS, jobId: blockId(block) },
      }));
      await this.blocks[priority].addBulk(jobs);
    }
  }

  /** Adding an item that the queue holds already changes nothing. */
  async addDirect({ certificate, ...place }: DirectItem, priority: Priority): Promise<void> {
    const { instanceId, caSn, deviceSn } = certificate;
    const data: JobData = { v: 1, instanceId, caSn, deviceSn, ...place };
    const { batch, n } = place;
    await this.direct.add(JOB_NAME, data, {
      ...OPTIONS,
      jobId: jobIdOf(batch, n, 0),
      priority: JOB_PRIORITY[priority],
    });
  }

  /** The ids of all blocks that are in a queue, or in a worker's hands. */
  async blockIds(): Promise<string[]> {
    const lists = await Promise.all(
      PRIORITIES.flatMap((priority) => {
        const queue = this.blocks[priority];
        const list = (name: string): Promise<string[]> => this.#redis.lrange(queue.toKey(name), 0, -1);
        const set = (name: string): Promise<string[]> => this.#redis.zrange(queue.toKey(name), '0', '-1');
        return [list('wait'), list('active'), list('paused'), set('delayed'), set('failed')];
      }),
    );
    return lists.flat();
  }

  /** Of each item, whether a job of contract version 1 is for it, under any id that it may have. */
  async haveJobs(
    items: readonly { readonly batch: string; readonly n: number; readonly key?: string; readonly retries?: number }[],
  ): Promise<boolean[]> {
    const found = await Promise.all(
      items.map(async ({ batch, n, key, retries = 0 }) => {
        const ids = [jobIdOf(batch, n, 0), jobIdOf(batch, n, retries)];
        // An id that stood for another certificate already was adopted with a suffix, which its job has not.
        if (key !== undefined) ids.push(key.replace(/#[0-9a-f]{40}$/, ''));
        return this.#redis.exists(...new Set(ids.map((id) => this.direct.toKey(id))));
      }),
    );
    return found.map((count) => count > 0);
  }

  async backlog(): Promise<Backlog> {
    const counts = async (queue: Queue): Promise<(state: string) => number> => {
      const found = await queue.getJobCounts('waiting', 'prioritized', 'delayed', 'active', 'failed');
      return (state) => found[state] ?? 0;
    };
    const [direct, urgent, bulk] = await Promise.all([
      counts(this.direct),
      counts(this.blocks.urgent),
      counts(this.blocks.bulk),
    ]);
    const sum = (state: string): number => direct(state) + urgent(state) + bulk(state);
    return {
      blocks: { urgent: urgent('waiting'), bulk: bulk('waiting') },
      direct: direct('waiting') + direct('prioritized'),
      delayed: sum('delayed'),
      active: sum('active'),
      failed: sum('failed'),
    };
  }

  /** Blocks that are ready, by priority: what the feeder reads, two commands. */
  async readyBlocks(): Promise<Readonly<Record<Priority, number>>> {
    const length = (priority: Priority): Promise<number> => this.#redis.llen(this.blocks[priority].toKey('wait'));
    const [urgent, bulk] = await Promise.all([length('urgent'), length('bulk')]);
    return { urgent, bulk };
  }

  async close(): Promise<void> {
    await Promise.all([this.direct.close(), ...PRIORITIES.map((priority) => this.blocks[priority].close())]);
  }
}
