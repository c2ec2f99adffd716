import { Worker, type Job as BullJob } from 'bullmq';
import { queueName } from '../../src/queue/contract.ts';
import { ACCOUNT, FeederStage } from './feeder-stage.ts';
import { Hand, NEVER_MS, type AnswerKind, type Point, type World } from './hand.ts';

/** `waiting`: ready, or for its time. */
type JobPlace = 'waiting' | 'active' | 'failed';

/** A job that was handed to a process. */
export interface Taken {
  readonly id: string;
  readonly process: string;
}

/** The real queue, feeder, processor and ledger of one account, moved by hand. */
export class HandStage extends FeederStage {
  readonly world: World;
  readonly #hands = new Map<string, Hand>();
  readonly #worker: Worker;

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
      removeOnComplete: { count: 0 },
    });
    // A process that lost its job's lock cannot end the job, and says so.
    this.#worker.on('error', () => undefined);
  }

  /** Hands the next job to a process, also one that waits for its time. */
  async take(answers: readonly AnswerKind[], stopAt?: Point): Promise<Taken> {
    await this.queue.bull.promoteJobs();
    const process = `process-${this.#hands.size + 1}`;
    const job = await this.#worker.getNextJob(process, { block: false });
    if (job === undefined) throw new Error('no job is ready');
    const hand = new Hand(this, this.world, answers);
    this.#hands.set(process, hand);
    await hand.begin(() => this.#worker.processJob(job, process, () => false), stopAt);
    return { id: job.id ?? '', process };
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

  /** Every job's id, by where it is. */
  async held(): Promise<Record<JobPlace, string[]>> {
    const { bull } = this.queue;
    const [waiting, active, failed] = await Promise.all([
      bull.getRanges(['waiting', 'prioritized', 'delayed'], 0, -1),
      bull.getRanges(['active'], 0, -1),
      bull.getRanges(['failed'], 0, -1),
    ]);
    return { waiting, active, failed };
  }

  override async close(): Promise<void> {
    await this.#worker.close(true);
    await super.close();
  }

  #hand(process: string): Hand {
    const hand = this.#hands.get(process);
    if (hand === undefined) throw new Error(`there is no process ${process}`);
    return hand;
  }
}
