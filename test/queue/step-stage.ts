import { Worker, type Job as BullJob } from 'bullmq';
import type { Certificate } from '../../src/core/certificate.ts';
import { ChunkReader } from '../../src/ledger/chunk-reader.ts';
import { directBatchOf } from '../../src/ledger/direct-items.ts';
import type { Claim } from '../../src/ledger/waiting.ts';
import { JOB_NAME, type JobData } from '../../src/queue/contract.ts';
import type { FeederEvent } from '../../src/queue/feed/feeder.ts';
import { AccountQueues } from '../../src/queue/queues.ts';
import { ACCOUNT, FeedStage, INSTANCES, type StagedFeeder } from './feed/feed-stage.ts';
import { Step, type AnswerKind, type Point, type RunPlan, type World } from './step.ts';

/** Locks and claims are lost by hand, and stalled jobs looked for by hand. */
const NEVER_MS = 3_600_000;
/** Times that a job may stall before BullMQ gives it up. */
const MAX_STALLED = 100;

/**
 * Where a feeder stands still in the middle of a round: before its blocks are in the queue, or before it has noted that they are. It may go on when
 * much has happened, or never.
 */
export type FeederStop = 'before' | 'after';

/** The queues as a feeder sees them that stands still. */
class StallingQueues extends AccountQueues {
  #stop: FeederStop | undefined;
  #stopped: (goOn: () => void) => void = () => undefined;

  /** The next one that adds blocks stands still. @returns what resolves then, with what has it go on */
  untilStop(stop?: FeederStop): Promise<() => void> {
    this.#stop = stop;
    return new Promise((resolve) => {
      this.#stopped = resolve;
    });
  }

  override async addBlocks(...added: Parameters<AccountQueues['addBlocks']>): Promise<void> {
    const stop = this.#stop;
    if (stop === undefined || added[0].length === 0) return super.addBlocks(...added);
    this.#stop = undefined;
    if (stop === 'after') await super.addBlocks(...added);
    await new Promise<void>((resolve) => this.#stopped(resolve));
    if (stop === 'before') await super.addBlocks(...added);
  }
}

/** A job or claim that was handed to a process. */
export interface Taken {
  /** The job's id; of a claim, the batch and the ordinal. */
  readonly id: string;
  readonly process: string;
  /** It waits at a point. */
  readonly isStopped: boolean;
}

export interface TakeSettings extends Partial<Omit<RunPlan, 'answers' | 'stopAt'>> {
  /** From the queues, or from what waits, or from either. */
  readonly from?: 'any' | 'queue' | 'waiting';
}

/** The real queues, feeder, processor and ledger of one account, moved by hand. */
export class StepStage extends FeedStage {
  readonly world: World;
  readonly direct = directBatchOf(ACCOUNT);
  readonly #feeding = new StallingQueues(this.connection, this.keys.prefix, ACCOUNT);
  readonly #steps = new Map<string, Step>();
  readonly #all = [this.queues.direct, this.queues.blocks.urgent, this.queues.blocks.bulk];
  readonly #workers: readonly Worker[];
  #staged = this.#openFeeder();
  #stalled: { readonly round: Promise<unknown>; readonly goOn: () => void } | undefined;

  constructor(world: World) {
    super();
    this.world = world;
    this.#workers = this.#all.map((queue, at) => {
      const run = (job: BullJob, token = ''): Promise<void> => this.#step(token).work(job, token, at === 0);
      const worker = new Worker(queue.name, run, {
        connection: this.connection,
        prefix: this.keys.prefix,
        skipVersionCheck: true,
        autorun: false,
        lockDuration: NEVER_MS,
        stalledInterval: NEVER_MS,
        maxStalledCount: MAX_STALLED,
        removeOnComplete: { count: 0 },
      });
      // A process that lost its job's lock cannot end the job, and says so.
      worker.on('error', () => undefined);
      return worker;
    });
  }

  /** One round; one that stands still is followed by another feeder. @returns what it told */
  async feed(stop?: FeederStop): Promise<FeederEvent[]> {
    const stopped = this.#feeding.untilStop(stop);
    const { feeder, halted, events } = this.#staged;
    halted.clear();
    if (this.world.isHalted) for (const instance of INSTANCES) halted.add(instance);
    const round = feeder.feed().then(() => undefined);
    const goOn = await Promise.race<(() => void) | undefined>([round, stopped]);
    void this.#feeding.untilStop();
    if (goOn !== undefined) {
      this.#stalled = { round, goOn };
      this.#staged = this.#openFeeder();
    }
    return events.splice(0);
  }

  /** The feeder that stood still goes on to the end of its round, with what it read before. */
  async goOnFeeding(): Promise<void> {
    const stalled = this.#stalled;
    this.#stalled = undefined;
    stalled?.goOn();
    await stalled?.round;
  }

  /** So much time passes that items without a job have lost it. */
  passTime(): void {
    this.#staged.pass(10_000);
  }

  /** Hands the next job or waiting item to a process, also one that waits for its time, after all that are ready. */
  async take(answers: readonly AnswerKind[] = [], stopAt?: Point, settings: TakeSettings = {}): Promise<Taken> {
    const taken = await this.takeIfAny(answers, stopAt, settings);
    if (taken === undefined) throw new Error('there is nothing to take');
    return taken;
  }

  async takeIfAny(
    answers: readonly AnswerKind[] = [],
    stopAt?: Point,
    { from = 'any', grant = 'slot', ...settings }: TakeSettings = {},
  ): Promise<Taken | undefined> {
    const process = `process-${this.#steps.size + 1}`;
    const plan: RunPlan = { answers, grant, ...settings, ...(stopAt !== undefined && { stopAt }) };
    const step = new Step(this, this.world, plan);
    this.#steps.set(process, step);
    const ready = (): Promise<Taken | undefined> => this.#takeJob(process, step);
    const waiting = (): Promise<Taken | undefined> => this.#takeWaiting(process, step);
    const late = async (): Promise<Taken | undefined> => {
      for (const queue of this.#all) await queue.promoteJobs();
      return this.#takeJob(process, step);
    };
    const ways = { any: [ready, waiting, late], queue: [ready, late], waiting: [waiting] };
    for (const way of ways[from]) {
      const taken = await way();
      if (taken !== undefined) return taken;
    }
    return undefined;
  }

  /** A process that was stopped goes on to its end. */
  goOn(process: string): Promise<void> {
    return this.#step(process).goOn();
  }

  /** The process stands still for longer than its lock, so that others may take the job; or for longer than its claim. */
  async loseLock(id: string): Promise<void> {
    for (const instanceId of INSTANCES) await this.redis.zadd(this.ledger.keys.waiting(instanceId), 'XX', 0, id);
    for (const [at, queue] of this.#all.entries()) {
      if ((await this.redis.del(queue.toKey(`${id}:lock`))) === 0) continue;
      // The first look marks what is active, the second gives back what has no lock.
      for (let look = 0; look < 2; look += 1) {
        await this.redis.del(queue.toKey('stalled-check'));
        await this.#workers[at]?.backend.moveStalledJobsToWait();
      }
    }
  }

  override async loseJobs(): Promise<void> {
    await super.loseJobs();
    for (const queue of this.#all) {
      const locks = await this.redis.keys(queue.toKey('*:lock'));
      if (locks.length > 0) await this.redis.del(locks);
    }
  }

  /** A job of another producer. */
  async addJob(id: string, { instanceId, caSn, deviceSn }: Certificate, more: object = {}): Promise<void> {
    const data: JobData = { v: 1, instanceId, caSn, deviceSn };
    await this.queues.direct.add(JOB_NAME, { ...data, ...more }, { jobId: id, removeOnComplete: true });
  }

  /** Ids of the jobs that are in the queues, active ones too. */
  async jobIds(): Promise<string[]> {
    const states = ['waiting', 'prioritized', 'delayed', 'active', 'failed'] as const;
    return (await Promise.all(this.#all.map((queue) => queue.getRanges([...states], 0, -1)))).flat().toSorted();
  }

  override async close(): Promise<void> {
    for (const worker of this.#workers) await worker.close(true);
    await this.#feeding.close();
    await super.close();
  }

  async #takeJob(process: string, step: Step): Promise<Taken | undefined> {
    for (const worker of this.#workers) {
      const job = (await worker.getNextJob(process, { block: false })) as BullJob | undefined;
      if (job === undefined) continue;
      const isStopped = await step.begin(() => worker.processJob(job, process, () => false));
      return { id: job.id ?? '', process, isStopped };
    }
    return undefined;
  }

  async #takeWaiting(process: string, step: Step): Promise<Taken | undefined> {
    for (const instanceId of INSTANCES) {
      const claim = await this.#claim(instanceId);
      if (claim === undefined) continue;
      const { batch, n, score } = claim;
      const item = await new ChunkReader(this.ledger).item(batch, n);
      if (item === undefined) throw new Error(`there is no item ${n} of ${batch}`);
      const run = { kind: 'claim', name: process, score } as const;
      const isStopped = await step.begin(() => step.claim({ ...item, batch, n, isUrgent: false }, run));
      return { id: `${batch} ${n}`, process, isStopped };
    }
    return undefined;
  }

  /** The first one that no process has a claim on. */
  async #claim(instanceId: string): Promise<Claim | undefined> {
    const { redis, ledger } = this;
    const key = ledger.keys.waiting(instanceId);
    const now = Date.now();
    for (const member of await redis.zrange(key, '0', '-1')) {
      const score = Number(await redis.zscore(key, member));
      // Claims are good for an hour here; nothing else waits for so long.
      if (score < now + NEVER_MS - 1_000_000) await redis.zadd(key, 0, member);
    }
    const { claims } = await ledger.waiting.claim(new Map([[instanceId, 1]]), NEVER_MS);
    return claims[0];
  }

  #openFeeder(): StagedFeeder {
    return this.feeder({ lowWater: 60, breaker: { maxDeadShare: 0.5, minSample: 4 }, queues: this.#feeding });
  }

  #step(process: string): Step {
    const step = this.#steps.get(process);
    if (step === undefined) throw new Error(`there is no process ${process}`);
    return step;
  }
}
