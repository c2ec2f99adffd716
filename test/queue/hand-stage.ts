import { Worker, type Job as BullJob, type Queue } from 'bullmq';
import type { Certificate } from '../../src/core/certificate.ts';
import { ChunkReader } from '../../src/ledger/chunk-reader.ts';
import { directBatchOf } from '../../src/ledger/direct-items.ts';
import type { Claim } from '../../src/ledger/waiting.ts';
import { BatchStateCache } from '../../src/queue/batch-state-cache.ts';
import { JOB_NAME, type JobData } from '../../src/queue/contract.ts';
import { ItemReports } from '../../src/queue/process/item-reports.ts';
import { ItemRunner } from '../../src/queue/process/item-runner.ts';
import { JobResolver } from '../../src/queue/process/resolve-job.ts';
import { rescueFailed } from '../../src/queue/worker/job-rescuer.ts';
import { ACCOUNT, INSTANCES } from './feed/feed-stage.ts';
import { FeedingStage } from './feeding-stage.ts';
import { Hand, type RunPlan, type StopPlan, type World } from './hand.ts';
import { LONG_MS } from './world.ts';

export { INSTANCES } from './feed/feed-stage.ts';
export type { FeederDeath } from './mortal-queues.ts';

/** Locks are lost by hand, and stalled jobs looked for by hand. */
const NEVER_MS = 3_600_000;

/** `waiting`: ready, or for its time. */
export type JobPlace = 'waiting' | 'active' | 'failed';

/** What a process was handed; `isStopped`: it waits at a point. */
export interface Taken {
  /** The job's; empty where it took items that waited. */
  readonly id: string;
  readonly process: string;
  readonly isStopped: boolean;
}

export interface HandStageSettings {
  /** Times that a job may stall before BullMQ gives it up. */
  readonly maxStalled: number;
  readonly lowWater: number;
}

/** The real queues, feeder, processor and ledger of one account, moved by hand. */
export class HandStage extends FeedingStage {
  readonly direct = directBatchOf(ACCOUNT);
  readonly #all: readonly Queue[] = [this.queues.direct, this.queues.blocks.urgent, this.queues.blocks.bulk];
  readonly #hands = new Map<string, Hand>();
  readonly #workers: ReadonlyMap<Queue, Worker>;

  constructor(world: World, { maxStalled, lowWater }: HandStageSettings) {
    super(world, lowWater);
    const run = async (job: BullJob, token = ''): Promise<void> => this.#hand(token).work(job, token);
    const open = (queue: Queue): [Queue, Worker] => {
      const worker = new Worker(queue.name, run, {
        connection: this.connection,
        prefix: this.keys.prefix,
        skipVersionCheck: true,
        autorun: false,
        lockDuration: NEVER_MS,
        stalledInterval: NEVER_MS,
        maxStalledCount: maxStalled,
        removeOnComplete: { count: 0 },
      });
      // A process that lost its job's lock cannot end the job, and says so.
      worker.on('error', () => undefined);
      return [queue, worker];
    };
    this.#workers = new Map(this.#all.map(open));
  }

  /**
   * The next job, where there is one; `early`: also one that waits for its time, after all that are ready, or it could keep them waiting for ever.
   * @param onTaken - the job, before anything is done with it
   */
  async takeJob(
    plan: RunPlan,
    early: boolean,
    stops: StopPlan = [],
    onTaken: (job: BullJob, process: string) => Promise<void> = () => Promise.resolve(),
  ): Promise<Taken | undefined> {
    const { hand, process } = this.#begin(plan);
    for (const isPromoted of early ? [false, true] : [false]) {
      const mayHave = await this.#mayHaveJobs();
      for (const [at, [queue, worker]] of [...this.#workers].entries()) {
        if (!(mayHave[at] ?? false)) continue;
        if (isPromoted) await queue.promoteJobs();
        const job: BullJob | undefined = await worker.getNextJob(process, { block: false });
        if (job === undefined) continue;
        await onTaken(job, process);
        const isStopped = await hand.begin(() => worker.processJob(job, process, () => false), stops);
        return { id: job.id ?? '', process, isStopped };
      }
    }
    return undefined;
  }

  /** Items that wait, at most so many of each instance, whose time has come. @param onTaken - the claims, before anything is done with them */
  async takeWaiting(
    plan: RunPlan,
    stops: StopPlan = [],
    most = 100,
    onTaken: (claims: readonly Claim[], process: string) => Promise<void> = () => Promise.resolve(),
    instances: readonly string[] = INSTANCES,
  ): Promise<Taken | undefined> {
    const limits = new Map(instances.map((instance) => [instance, most]));
    const { claims } = await this.ledger.waiting.claim(limits, LONG_MS);
    if (claims.length === 0) return undefined;
    const { hand, process } = this.#begin(plan);
    await onTaken(claims, process);
    return { id: '', process, isStopped: await hand.begin(() => hand.workClaims(claims), stops) };
  }

  /** The number that is part of the names of its claims. */
  handOf(process: string): number {
    return this.#hand(process).id;
  }

  /** A process that was stopped goes on to its end. */
  goOn(process: string): Promise<void> {
    return this.#hand(process).goOn();
  }

  /** A process that was stopped leaves: it calls and writes nothing any more. */
  leave(process: string): Promise<void> {
    return this.#hand(process).leave();
  }

  /** The job's lock runs out, and BullMQ's check gives the job back. */
  async loseLock(id: string): Promise<void> {
    for (const [queue, worker] of this.#workers) {
      if ((await this.redis.del(queue.toKey(`${id}:lock`))) === 0) continue;
      // The first look marks what is active, the second gives back what has no lock.
      for (let look = 0; look < 2; look += 1) {
        await this.redis.del(queue.toKey('stalled-check'));
        await worker.backend.moveStalledJobsToWait();
      }
    }
  }

  /** The time of all items that wait has come, or of those chosen. */
  async wake(isChosen: (member: string) => boolean = () => true): Promise<void> {
    for (const instance of INSTANCES) {
      const key = this.ledger.keys.waiting(instance);
      const members = (await this.redis.zrange(key, '0', '-1')).filter(isChosen);
      if (members.length > 0) await this.redis.zadd(key, ...members.flatMap((member) => [0, member]));
    }
  }

  override async loseJobs(): Promise<void> {
    await super.loseJobs();
    for (const queue of this.#all) {
      const locks = await this.redis.keys(queue.toKey('*:lock'));
      if (locks.length > 0) await this.redis.del(locks);
    }
  }

  /** Redis loses what waits of an instance. */
  async loseWaiting(instanceId: string): Promise<void> {
    await this.redis.del(this.ledger.keys.waiting(instanceId));
  }

  /** @returns the failed jobs, in the order in which they are looked at, and whether all could be rescued */
  async sweep(): Promise<{ ids: string[]; isDone: boolean }> {
    const ids: string[] = [];
    for (const queue of this.#all) ids.push(...(await queue.getFailed()).map(({ id = '' }) => id));
    const { ledger, queues } = this;
    const states = new BatchStateCache(ledger);
    const chunks = new ChunkReader(ledger);
    const resolver = new JobResolver(ledger, chunks, states, ACCOUNT);
    const reports = new ItemReports({ items: ledger.items, tell: () => undefined });
    const items = new ItemRunner(() => Promise.reject(new Error('nothing is called for')), reports);
    try {
      await rescueFailed({ ledger, chunks, states, queues, resolver, items });
      return { ids, isDone: true };
    } catch (error) {
      if (!isRefusal(String(error))) throw error;
      return { ids, isDone: false };
    }
  }

  /** A job of another producer. */
  async addJob(id: string, { instanceId, caSn, deviceSn }: Certificate): Promise<void> {
    const data: JobData = { v: 1, instanceId, caSn, deviceSn };
    await this.queues.direct.add(JOB_NAME, data, { jobId: id, removeOnComplete: true });
  }

  /** Every job's id, by where it is. */
  async jobPlaces(): Promise<Record<JobPlace, string[]>> {
    const list = async (...states: Parameters<Queue['getRanges']>[0]): Promise<string[]> => {
      const lists = await Promise.all(this.#all.map((queue) => queue.getRanges(states, 0, -1)));
      return lists.flat().toSorted();
    };
    const [waiting, active, failed] = await Promise.all([
      list('waiting', 'prioritized', 'delayed'),
      list('active'),
      list('failed'),
    ]);
    return { waiting, active, failed };
  }

  override async close(): Promise<void> {
    await Promise.all([...this.#workers.values()].map((worker) => worker.close(true)));
    await super.close();
  }

  /** Of each queue, whether anything is in it that is ready, or for its time: asked at once, for the sake of time. */
  async #mayHaveJobs(): Promise<boolean[]> {
    const looks = this.#all.map(async (queue) => {
      const of = (name: string): string => queue.toKey(name);
      const found = await this.redis.exists(of('wait'), of('prioritized'), of('delayed'));
      return found > 0;
    });
    return Promise.all(looks);
  }

  #begin(plan: RunPlan): { hand: Hand; process: string } {
    const hand = new Hand(this, this.world, plan);
    const process = `process-${this.#hands.size + 1}`;
    this.#hands.set(process, hand);
    return { hand, process };
  }

  #hand(process: string): Hand {
    const hand = this.#hands.get(process);
    if (hand === undefined) throw new Error(`there is no process ${process}`);
    return hand;
  }
}

/** The direct batch takes nothing in while it is being cancelled. */
export function isRefusal(message: string): boolean {
  return message.includes('is being cancelled');
}
