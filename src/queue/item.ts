import type { Certificate } from '../core/certificate.ts';
import { FIRST_ATTEMPT, type Attempt } from '../core/decide.ts';
import type { Death } from '../ledger/dead-letters.ts';
import type { ChunkReader } from '../ledger/chunk-reader.ts';
import { STANDING_PREFIX, type Ledger } from '../ledger/ledger.ts';
import type { BatchStates } from './batch-states.ts';
import { parseJob, retriesOfJob, type Job } from './contract.ts';

/** What a job stands for: an accepted item, and what it has been through. */
export interface Item {
  readonly batch: string;
  readonly n: number;
  readonly certificate: Certificate;
  readonly attempt: Attempt;
  readonly history: readonly Death[];
  /** Of its dead letter, before the job was made. */
  readonly retries: number;
  /** The job, where the item was adopted from one. */
  readonly adoptedFrom?: string;
}

type Place = Pick<Item, 'batch' | 'n' | 'retries' | 'adoptedFrom'>;

export type Located =
  | { readonly kind: 'item'; readonly item: Item }
  /** It can only end dead: no call may be made for it. */
  | { readonly kind: 'unusable'; readonly item: Item; readonly code: string; readonly message: string };

/** The part of a BullMQ job that is read here. */
export interface StartedJob {
  readonly id?: string | undefined;
  readonly data: unknown;
  /** Of BullMQ: how often it was handed to a worker, this time included. */
  readonly attemptsStarted: number;
}

/** Finds the item that a job stands for; a job that belongs to no batch gets its place in the account's standing batch. */
export class ItemLocator {
  readonly #ledger: Ledger;
  readonly #chunks: ChunkReader;
  readonly #states: BatchStates;
  readonly #standingBatch: string;

  constructor(ledger: Ledger, chunks: ChunkReader, states: BatchStates, account: string) {
    this.#ledger = ledger;
    this.#chunks = chunks;
    this.#states = states;
    this.#standingBatch = standingBatchOf(account);
  }

  async locate(started: StartedJob): Promise<Located> {
    const parsed = parseJob(started.data);
    if (!parsed.ok) {
      return { kind: 'unusable', item: await this.#malformed(started), code: 'malformed-job', message: parsed.message };
    }
    const { job } = parsed;
    const { item } = job;
    const retries = item && retriesOfJob(started.id ?? '', item.batch, item.n);
    if (item === undefined || (await this.#isNoItem(item))) {
      const adopted = await this.#adoptedItem(started, job);
      if (item === undefined || retries === undefined) return { kind: 'item', item: adopted };
      // Our own feeder made it, so its batch was there, and was cancelled and forgotten since: nobody wants this call any more.
      const message = `batch ${item.batch} is no longer there; retry the dead letter if the certificate is to be revoked all the same`;
      return { kind: 'unusable', item: adopted, code: 'unknown-batch', message };
    }
    if (!(await this.#isSame(item, job.certificate))) {
      // Settling under its number would tell a lie about another certificate.
      const message = `item ${item.n} of batch ${item.batch} is another certificate than the job names`;
      return { kind: 'unusable', item: await this.#adoptedItem(started, job), code: 'malformed-job', message };
    }
    const jobId = item.batch.startsWith(STANDING_PREFIX) ? (job.key ?? started.id) : undefined;
    const place = { ...item, retries: retries ?? 0, ...(jobId !== undefined && { adoptedFrom: jobId }) };
    return { kind: 'item', item: await this.#known(started, job, place) };
  }

  async #adoptedItem(started: StartedJob, job: Job): Promise<Item> {
    const { place, isNew } = await this.#adopt(started, job.certificate);
    // Not new: it was started before, or added again after Redis had lost it.
    return this.#known(started, job, place, !isNew);
  }

  /**
   * The item with what it has been through. A start that we did not write down ended in a crash; whether its call was on the way is in the ledger.
   * Most that are in hand only wait for their slot.
   */
  async #known({ attemptsStarted }: StartedJob, job: Job, place: Place, isKnown = false): Promise<Item> {
    const { failures, calls, starts } = job.trail;
    const effectUnknown =
      job.trail.effectUnknown ||
      ((isKnown || attemptsStarted - 1 > starts) && (await this.#ledger.hasDeparted(place.batch, place.n)));
    const { certificate, history } = job;
    return { ...place, certificate, attempt: { failures, calls, effectUnknown }, history };
  }

  /** Its producer named a batch of its own, or one that is no longer in Redis. */
  async #isNoItem({ batch, n }: NonNullable<Job['item']>): Promise<boolean> {
    const gate = await this.#states.of(batch);
    // A standing batch grows all the time; its own count decides, not what we remember of it.
    return gate === undefined || (n >= gate.accepted && !batch.startsWith(STANDING_PREFIX));
  }

  async #isSame({ batch, n }: NonNullable<Job['item']>, named: Certificate): Promise<boolean> {
    const kept = await this.#chunks.certificate(batch, n);
    return kept?.instanceId === named.instanceId && kept.caSn === named.caSn && kept.deviceSn === named.deviceSn;
  }

  async #adopt(started: StartedJob, certificate: Certificate): Promise<{ place: Place; isNew: boolean }> {
    const { n, isNew, key } = await this.#ledger.adopt(this.#standingBatch, started.id ?? '', certificate);
    return { place: { batch: this.#standingBatch, n, retries: 0, adoptedFrom: key }, isNew };
  }

  async #malformed(started: StartedJob): Promise<Item> {
    const certificate = { instanceId: '', caSn: '', deviceSn: shorten(started.data) };
    const { place } = await this.#adopt(started, certificate);
    return { ...place, certificate, attempt: FIRST_ATTEMPT, history: [] };
  }
}

export function standingBatchOf(account: string): string {
  return `${STANDING_PREFIX}${account}`;
}

/** The text of what a producer sent, for the dead letter; long ones are cut. */
function shorten(data: unknown): string {
  const text = JSON.stringify(data) ?? 'undefined';
  return text.length > 500 ? `${text.slice(0, 500)}...` : text;
}
