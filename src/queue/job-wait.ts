import { randomUUID } from 'node:crypto';
import { DelayedError, WaitingError, type Job as BullJob } from 'bullmq';
import { reconcile } from '../core/decide.ts';
import type { Run } from '../ledger/ledger.ts';
import type { JobData, Trail } from './contract.ts';
import type { DepartureNote } from './departure-note.ts';
import { placedData, placeOf, type Item, type Located } from './item.ts';

/** How long a job is locked for the process that has it, unless that renews the lock. */
export const LOCK_MS = 6_000;

/** The ways in which a job waits again. Each writes the item's trail first, so that the next start knows it. */
export class JobWait {
  readonly #job: BullJob;
  readonly #token: string | undefined;
  readonly #random: () => number;
  readonly #name = randomUUID();
  /** The item of the job as it was last known; undefined before it was found. */
  item: Item | undefined;
  /** Whether a call of this run may have left. */
  departed = false;
  /** Undefined before the run was about to make one. */
  note: DepartureNote | undefined;

  constructor(job: BullJob, token: string | undefined, random: () => number) {
    this.#job = job;
    this.#token = token;
    this.#random = random;
  }

  /** As the ledger knows it. */
  run({ told }: Item): Run {
    const { prefix, queueName, id } = this.#job;
    return { lock: { key: `${prefix}:${queueName}:${id}:lock`, token: this.#token ?? '' }, name: this.#name, told };
  }

  /** An adopted item's number goes into its job at once, so that a crash after settling it cannot adopt the job again. */
  async remember(located: Located): Promise<void> {
    this.item = located.item;
    const data = placedData(this.#job.data, located);
    if (data === undefined) return;
    await this.keepLock();
    await this.#job.updateData(data);
  }

  /**
   * The item with its record as the ledger lets it stand. The note of this run hides those before it, also where the run goes no further: what they
   * told must be in the record from then on.
   */
  async corrected(item: Item): Promise<Item> {
    const before = await this.note?.before();
    if (before === undefined || (this.departed && before === 'none')) return item;
    return { ...item, attempt: reconcile(item.attempt, before) };
  }

  /** Waits for about so long: up to half as much again, so that jobs do not come back as one. */
  async snooze(item: Item, ms: number): Promise<never> {
    return this.until(item, ms * (1 + this.#random() / 2));
  }

  async until(item: Item, ms: number): Promise<never> {
    await this.#write(item);
    return this.again(ms);
  }

  async again(ms: number): Promise<never> {
    await this.#job.moveToDelayed(Date.now() + Math.ceil(ms), this.#token);
    throw new DelayedError();
  }

  /** The worker is leaving: the job is ready again at once, for another one. */
  async giveBack(item: Item): Promise<never> {
    await this.#write(item);
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

  async #write(item: Item): Promise<void> {
    await this.keepLock();
    const before = await this.note?.before();
    const { attempt } = await this.corrected(item);
    const trail: Trail = { ...attempt, run: before === undefined ? item.told : this.#name };
    await this.#job.updateData({ ...(this.#job.data as JobData), ...placeOf(item), trail });
  }
}
