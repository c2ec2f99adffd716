import type { Certificate } from '../core/certificate.ts';
import type { Attempt } from '../core/decide.ts';
import type { Death } from '../ledger/dead-letters.ts';
import { STANDING_PREFIX, type ChunkReader, type Ledger } from '../ledger/ledger.ts';
import type { BatchStates } from './batch-states.ts';
import { parseJob, type Job, type Trail } from './contract.ts';

/** What a job stands for: an accepted item, and what it has been through. */
export interface Item {
  readonly batch: string;
  readonly n: number;
  readonly certificate: Certificate;
  readonly attempt: Attempt;
  readonly history: readonly Death[];
  /** The job, where the item was adopted from one. */
  readonly adoptedFrom?: string;
}

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
    const attempt = attemptOf(job.trail, started.attemptsStarted);
    const { certificate, history } = job;
    const { item } = job;
    if (item === undefined || (await this.#isNoItem(item))) {
      const adopted = await this.#adopt(started, certificate);
      return { kind: 'item', item: { ...adopted, certificate, attempt, history } };
    }
    if (!(await this.#isSame(item, certificate))) {
      // Settling under its number would tell a lie about another certificate.
      const adopted = await this.#adopt(started, certificate);
      const message = `item ${item.n} of batch ${item.batch} is another certificate than the job names`;
      return { kind: 'unusable', item: { ...adopted, certificate, attempt, history }, code: 'malformed-job', message };
    }
    const jobId = item.batch.startsWith(STANDING_PREFIX) ? (job.key ?? started.id) : undefined;
    return {
      kind: 'item',
      item: { ...item, certificate, attempt, history, ...(jobId !== undefined && { adoptedFrom: jobId }) },
    };
  }

  /** Its producer named a batch of its own, or one that Redis has lost. */
  async #isNoItem({ batch, n }: NonNullable<Job['item']>): Promise<boolean> {
    const gate = await this.#states.of(batch);
    // A standing batch grows all the time; its own count decides, not what we remember of it.
    return gate === undefined || (n >= gate.accepted && !batch.startsWith(STANDING_PREFIX));
  }

  async #isSame({ batch, n }: NonNullable<Job['item']>, named: Certificate): Promise<boolean> {
    const kept = await this.#chunks.certificate(batch, n);
    return kept?.instanceId === named.instanceId && kept.caSn === named.caSn && kept.deviceSn === named.deviceSn;
  }

  async #adopt(started: StartedJob, certificate: Certificate): Promise<Pick<Item, 'batch' | 'n' | 'adoptedFrom'>> {
    const jobId = started.id ?? '';
    const { n } = await this.#ledger.adopt(this.#standingBatch, jobId, certificate);
    return { batch: this.#standingBatch, n, adoptedFrom: jobId };
  }

  async #malformed(started: StartedJob): Promise<Item> {
    const certificate = { instanceId: '', caSn: '', deviceSn: shorten(started.data) };
    const attempt = { failures: 0, calls: 0, effectUnknown: false, refreshed: false };
    return { ...(await this.#adopt(started, certificate)), certificate, attempt, history: [] };
  }
}

export function standingBatchOf(account: string): string {
  return `${STANDING_PREFIX}${account}`;
}

/** A start that we did not write down ended in a crash, perhaps with its call on the way. */
function attemptOf(trail: Trail, attemptsStarted: number): Attempt {
  const { failures, calls, effectUnknown, refreshed, starts } = trail;
  return { failures, calls, refreshed, effectUnknown: effectUnknown || attemptsStarted - 1 > starts };
}

/** The text of what a producer sent, for the dead letter; long ones are cut. */
function shorten(data: unknown): string {
  const text = JSON.stringify(data) ?? 'undefined';
  return text.length > 500 ? `${text.slice(0, 500)}...` : text;
}
