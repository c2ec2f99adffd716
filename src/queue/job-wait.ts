import { DelayedError, WaitingError, type Job as BullJob } from 'bullmq';
import type { JobLock } from '../ledger/ledger.ts';
import type { JobData } from './contract.ts';
import type { Item } from './item.ts';

/** How long a job is locked for the process that has it, unless that renews the lock. */
export const LOCK_MS = 6_000;

/** The ways in which a job waits again. Each writes the item's trail first, so that the next start knows it. */
export class JobWait {
  readonly #job: BullJob;
  readonly #token: string | undefined;
  readonly #random: () => number;
  /** The item of the job as it was last known; undefined before it was found. */
  item: Item | undefined;
  /** Whether a call of this start may have left. */
  departed = false;

  constructor(job: BullJob, token: string | undefined, random: () => number) {
    this.#job = job;
    this.#token = token;
    this.#random = random;
  }

  /** The run's lock, as BullMQ names it. */
  get lock(): JobLock {
    const { prefix, queueName, id } = this.#job;
    return { key: `${prefix}:${queueName}:${id}:lock`, token: this.#token ?? '' };
  }

  /** An adopted item's number goes into its job at once, so that a crash after settling it cannot adopt the job again. */
  async remember(item: Item): Promise<void> {
    this.item = item;
    const { n } = this.#job.data as Partial<JobData>;
    if (item.adoptedFrom !== undefined && n !== item.n) await this.#write(item, this.#job.attemptsStarted - 1);
  }

  /** Waits for about so long: up to half as much again, so that jobs do not come back as one. */
  async snooze(item: Item, ms: number): Promise<never> {
    return this.until(item, ms * (1 + this.#random() / 2));
  }

  async until(item: Item, ms: number): Promise<never> {
    await this.#write(item, this.#job.attemptsStarted);
    return this.again(ms);
  }

  async again(ms: number): Promise<never> {
    await this.#job.moveToDelayed(Date.now() + Math.ceil(ms), this.#token);
    throw new DelayedError();
  }

  /** The worker is leaving: the job is ready again at once, for another one. */
  async giveBack(item: Item): Promise<never> {
    await this.#write(item, this.#job.attemptsStarted);
    await this.#job.moveToWait(this.#token);
    throw new WaitingError();
  }

  /**
   * Ends the run here where its job's lock is lost, because the process stood still or Redis was gone for longer: another process may have the job.
   * Where it is not lost, no other run has begun, so what this one knows of its item is still the whole truth.
   */
  async keepLock(): Promise<void> {
    const isOurs = (await this.#job.extendLock(this.#token ?? '', LOCK_MS)) === 1;
    if (!isOurs) this.standAside();
  }

  /** Ends the run without a word: another one has its job, or will have it. */
  standAside(): never {
    throw new WaitingError();
  }

  async #write({ batch, n, attempt, adoptedFrom }: Item, starts: number): Promise<void> {
    await this.keepLock();
    const data = this.#job.data as JobData;
    const place = { batch, n, ...(adoptedFrom !== undefined && { key: adoptedFrom }) };
    await this.#job.updateData({ ...data, ...place, trail: { ...attempt, starts } });
  }
}
