import { Worker, type Job as BullJob } from 'bullmq';
import type { Certificate } from '../../src/core/certificate.ts';
import { ChunkReader } from '../../src/ledger/chunk-reader.ts';
import { BatchStates } from '../../src/queue/batch-states.ts';
import { JOB_NAME, queueName, type JobData } from '../../src/queue/contract.ts';
import { ItemLocator, standingBatchOf } from '../../src/queue/item.ts';
import type { FeederEvent } from '../../src/queue/feeder.ts';
import { RevokeQueue } from '../../src/queue/revoke-queue.ts';
import { sweepFailed } from '../../src/queue/sweeper.ts';
import { ACCOUNT, FeederStage, type StagedFeeder } from './feeder-stage.ts';
import { Hand, NEVER_MS, type AnswerKind, type Point, type RunPlan, type World } from './hand.ts';

/** Times that a job may stall before BullMQ gives it up. */
export const MAX_STALLED = 2;
export const INSTANCES = ['post-cn-a', 'post-cn-b'] as const;

/**
 * Where a feeder dies: before its jobs are in the queue, with some of them in it, or before it has noted that they are. One that stalls does so
 * there, and may go on when much has happened.
 */
export type FeederDeath = 'before' | 'between' | 'after' | 'stalls';

/** The queue as a feeder sees it that may die: it never hears of its jobs again, or only when it goes on. */
class MortalQueue extends RevokeQueue {
  #death: FeederDeath | undefined;
  #die: (goOn: () => void) => void = () => undefined;

  /** Whoever feeds next dies so. @returns what resolves then, with what has it go on */
  untilDeath(death?: FeederDeath): Promise<() => void> {
    this.#death = death;
    return new Promise((resolve) => {
      this.#die = resolve;
    });
  }

  override async feed(...[items, priority]: Parameters<RevokeQueue['feed']>): Promise<void> {
    if (items.length === 0) return;
    const death = this.#death;
    if (death === undefined) return super.feed(items, priority);
    this.#death = undefined;
    const added = { before: 0, between: Math.ceil(items.length / 2), after: items.length, stalls: items.length };
    await super.feed(items.slice(0, added[death]), priority);
    await new Promise<void>((resolve) => this.#die(resolve));
  }
}

/** A feeder in the middle of a round. */
interface StalledFeeder {
  readonly events: FeederEvent[];
  readonly round: Promise<unknown>;
  readonly goOn: () => void;
}

/** `waiting`: ready, or for its time. */
export type JobPlace = 'waiting' | 'active' | 'failed';

/** A job that was handed to a process; `isStopped`: which waits at a point. */
export interface Taken {
  readonly id: string;
  readonly process: string;
  readonly isStopped: boolean;
}

/** The real queue, feeder, processor and ledger of one account, moved by hand. */
export class HandStage extends FeederStage {
  readonly world: World;
  readonly standing = standingBatchOf(ACCOUNT);
  readonly #feeding = new MortalQueue(this.connection, this.keys.prefix, ACCOUNT);
  readonly #hands = new Map<string, Hand>();
  readonly #stalled: StalledFeeder[] = [];
  readonly #worker: Worker;
  #staged = this.#openFeeder();

  constructor(world: World) {
    super();
    this.world = world;
    const run = async (job: BullJob, token = ''): Promise<void> => this.#hand(token).work(job, token);
    this.#worker = new Worker(queueName(ACCOUNT), run, {
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
    this.#worker.on('error', () => undefined);
  }

  /** One round, or two of two processes at once; a feeder that dies is followed by another. @returns what they told */
  async feed(feeders: 1 | 2 = 1, death?: FeederDeath): Promise<FeederEvent[]> {
    const dead = this.#feeding.untilDeath(death);
    const staged = [this.#staged, ...(feeders === 2 ? [this.#openFeeder(this.queue)] : [])];
    for (const { halted } of staged) {
      halted.clear();
      if (this.world.isHalted) for (const instance of INSTANCES) halted.add(instance);
    }
    const rounds = staged.map(async ({ feeder }) => {
      await feeder.feed();
      return undefined;
    });
    const [goOn] = await Promise.all(
      rounds.map((round, at) => Promise.race<(() => void) | undefined>([round, ...(at === 0 ? [dead] : [])])),
    );
    void this.#feeding.untilDeath();
    const events = staged.flatMap((feeder) => feeder.events.splice(0));
    const [round] = rounds;
    if (goOn !== undefined && round !== undefined) {
      if (death === 'stalls') this.#stalled.push({ events: this.#staged.events, round, goOn });
      this.#staged = this.#openFeeder();
    }
    return events;
  }

  get stalledFeeders(): number {
    return this.#stalled.length;
  }

  /** A feeder that stalled goes on to the end of its round, with what it read before. @returns what it told */
  async goOnFeeding(at: number): Promise<FeederEvent[]> {
    const [one] = this.#stalled.splice(at % this.#stalled.length, 1);
    one?.goOn();
    await one?.round;
    return one?.events.splice(0) ?? [];
  }

  /** So much time passes that a cancellation is heard of, and that items without a job have lost it. */
  passTime(): void {
    this.#staged.pass(10_000);
  }

  /** Hands the next job to a process, also one that waits for its time. */
  async take(answers: readonly AnswerKind[] = [], stopAt?: Point, grant: RunPlan['grant'] = 'slot'): Promise<Taken> {
    await this.queue.bull.promoteJobs();
    const taken = await this.takeIfAny({ answers, grant }, false, stopAt);
    if (taken === undefined) throw new Error('no job is ready');
    return taken;
  }

  /** The same where there is one; `early`: also one that waits for its time, after all that are ready, or it could keep them waiting for ever. */
  async takeIfAny(plan: RunPlan, early: boolean, stopAt?: Point): Promise<Taken | undefined> {
    const process = `process-${this.#hands.size + 1}`;
    const next = (): Promise<BullJob | undefined> => this.#worker.getNextJob(process, { block: false });
    let job = await next();
    if (job === undefined && early) {
      await this.queue.bull.promoteJobs();
      job = await next();
    }
    if (job === undefined) return undefined;
    const hand = new Hand(this, this.world, plan);
    this.#hands.set(process, hand);
    const isStopped = await hand.begin(() => this.#worker.processJob(job, process, () => false), stopAt);
    return { id: job.id ?? '', process, isStopped };
  }

  /** A process that was stopped goes on to its end. */
  goOn(process: string): Promise<void> {
    return this.#hand(process).goOn();
  }

  /** The job's lock runs out, and BullMQ's check gives the job back. */
  async loseLock(id: string): Promise<void> {
    const { bull } = this.queue;
    await this.redis.del(bull.toKey(`${id}:lock`));
    // The first look marks what is active, the second gives back what has no lock.
    for (let look = 0; look < 2; look += 1) {
      await this.redis.del(bull.toKey('stalled-check'));
      await this.#worker.backend.moveStalledJobsToWait();
    }
  }

  override async loseJobs(): Promise<void> {
    await super.loseJobs();
    const locks = await this.redis.keys(this.queue.bull.toKey('*:lock'));
    if (locks.length > 0) await this.redis.del(locks);
  }

  /** @returns the failed jobs, in the order in which they are looked at, and whether all could be swept */
  async sweep(): Promise<{ ids: string[]; isDone: boolean }> {
    const ids = (await this.queue.bull.getFailed()).map(({ id = '' }) => id);
    const states = new BatchStates(this.ledger);
    const locator = new ItemLocator(this.ledger, new ChunkReader(this.ledger), states, ACCOUNT);
    try {
      await sweepFailed(this.queue, locator, this.ledger);
      return { ids, isDone: true };
    } catch (error) {
      if (!isRefusal(String(error))) throw error;
      return { ids, isDone: false };
    }
  }

  /** A job of another producer. */
  async addJob(id: string, { instanceId, caSn, deviceSn }: Certificate): Promise<void> {
    const data: JobData = { v: 1, instanceId, caSn, deviceSn };
    await this.queue.bull.add(JOB_NAME, data, { jobId: id, removeOnComplete: true });
  }

  /** Every job's id, by where it is. */
  async held(): Promise<Record<JobPlace, string[]>> {
    const { bull } = this.queue;
    const [waiting, active, failed] = await Promise.all([
      bull.getRanges(['waiting', 'prioritized', 'delayed'], 0, -1),
      bull.getRanges(['active'], 0, -1),
      bull.getRanges(['failed'], 0, -1),
    ]);
    return { waiting: waiting.toSorted(), active: active.toSorted(), failed: failed.toSorted() };
  }

  override async close(): Promise<void> {
    await this.#worker.close(true);
    await this.#feeding.close();
    await super.close();
  }

  #openFeeder(queue: RevokeQueue = this.#feeding): StagedFeeder {
    return this.feeder({ lowWater: 8, breaker: { maxDeadShare: 0.5, minSample: 4 }, queue });
  }

  #hand(process: string): Hand {
    const hand = this.#hands.get(process);
    if (hand === undefined) throw new Error(`there is no process ${process}`);
    return hand;
  }
}

/** The standing batch takes nothing in while it is being cancelled. */
export function isRefusal(message: string): boolean {
  return message.includes('is being cancelled');
}
