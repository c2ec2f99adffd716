import type { Certificate } from '../core/certificate.ts';
import { FIRST_ATTEMPT, type Attempt } from '../core/decide.ts';
import type { ChunkReader } from '../ledger/chunk-reader.ts';
import { STANDING_PREFIX, UNNAMED_RUN, type Ledger } from '../ledger/ledger.ts';
import type { BatchStates } from './batch-states.ts';
import { parseJob, parseRefused, retriesOfJob, type Job, type JobData, type RefusedJob } from './contract.ts';

/** What a job stands for: an accepted item, and what it has been through. */
export interface Item {
  readonly batch: string;
  readonly n: number;
  readonly certificate: Certificate;
  readonly attempt: Attempt;
  /** The run whose call the record tells of last; empty where it tells of none. */
  readonly told: string;
  /** Of its dead letter, before the job was made. */
  readonly retries: number;
  /** The job, where the item was adopted from one. */
  readonly adoptedFrom?: string;
}

type Place = Pick<Item, 'batch' | 'n' | 'retries' | 'adoptedFrom'>;

export type Located = { readonly kind: 'item'; readonly item: Item } | Unusable;

/** It can only end dead: no call may be made for it. */
export interface Unusable {
  readonly kind: 'unusable';
  readonly item: Item;
  readonly code: string;
  readonly message: string;
}

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
    const refused = await this.#refusedBefore(started);
    if (refused !== undefined) return refused;
    const parsed = parseJob(started.data);
    if (!parsed.ok) return this.#unusable(started, 'malformed-job', parsed.message);
    const { job } = parsed;
    const { item } = job;
    const retries = item && retriesOfJob(started.id ?? '', item.batch, item.n);
    if (item === undefined || (await this.#isNoItem(item))) {
      if (item === undefined || retries === undefined) {
        const place = await this.#adopt(started, job.certificate);
        return { kind: 'item', item: itemOf(job.certificate, place) };
      }
      // Our own feeder made it, so its batch was there, and was cancelled and forgotten since: nobody wants this call any more.
      const message = `batch ${item.batch} is no longer there; retry the dead letter if the certificate is to be revoked all the same`;
      return this.#unusable(started, 'unknown-batch', message);
    }
    if (!(await this.#isSame(item, job.certificate))) {
      // Settling under its number would tell a lie about another certificate.
      const message = `item ${item.n} of batch ${item.batch} is another certificate than the job names`;
      return this.#unusable(started, 'malformed-job', message);
    }
    const isStanding = item.batch.startsWith(STANDING_PREFIX);
    const jobId = isStanding ? (job.key ?? started.id) : undefined;
    const place = { ...item, retries: retries ?? 0, ...(jobId !== undefined && { adoptedFrom: jobId }) };
    // An item of a submitted batch has jobs of ours only: what another one says of its past is made up.
    const isOurs = isStanding || retries !== undefined;
    return { kind: 'item', item: isOurs ? knownItem(started, job, place) : itemOf(job.certificate, place) };
  }

  /** Its producer named a batch of its own, or one that is no longer in Redis. */
  async #isNoItem({ batch, n }: NonNullable<Job['item']>): Promise<boolean> {
    // Another account's: its own worker has the item's job.
    if (batch.startsWith(STANDING_PREFIX) && batch !== this.#standingBatch) return true;
    const gate = await this.#states.of(batch);
    // A standing batch grows all the time; its own count decides, not what we remember of it.
    return gate === undefined || (n >= gate.accepted && !batch.startsWith(STANDING_PREFIX));
  }

  async #isSame({ batch, n }: NonNullable<Job['item']>, named: Certificate): Promise<boolean> {
    return isSame(await this.#chunks.certificate(batch, n), named);
  }

  async #adopt(started: StartedJob, certificate: Certificate): Promise<Place> {
    const { n, key } = await this.#ledger.adopt(this.#standingBatch, started.id ?? '', certificate);
    return { batch: this.#standingBatch, n, retries: 0, adoptedFrom: key };
  }

  async #unusable(started: StartedJob, code: string, message: string): Promise<Unusable> {
    const certificate = namedBy(started.data);
    return { kind: 'unusable', item: itemOf(certificate, await this.#adopt(started, certificate)), code, message };
  }

  /** A job that a run found unusable, and took down where it is kept, before that run died. */
  async #refusedBefore(started: StartedJob): Promise<Unusable | undefined> {
    const { id = '' } = started;
    const refused = parseRefused(started.data);
    if (refused === undefined || refused.key.replace(ADOPTED_AGAIN, '') !== id) return undefined;
    const { n, key, code, message } = refused;
    const certificate = namedBy(refused.data);
    // What another producer claims must not end an item that is somebody else's.
    const isOurs = await this.#ledger.isAdoptedAs(this.#standingBatch, key, n);
    if (!isOurs || !isSame(await this.#ledger.adoptedCertificate(this.#standingBatch, n), certificate))
      return undefined;
    const place = { batch: this.#standingBatch, n, retries: 0, adoptedFrom: key };
    return { kind: 'unusable', item: itemOf(certificate, place), code, message };
  }
}

/** What a job id is adopted under that stands for another certificate already ends so. */
const ADOPTED_AGAIN = /#[0-9a-f]{40}$/;

/** An item with nothing behind it: the ledger tells whether that is so. */
function itemOf(certificate: Certificate, place: Place): Item {
  return { ...place, certificate, attempt: FIRST_ATTEMPT, told: '' };
}

/** The item with what its job says that it has been through. */
function knownItem({ attemptsStarted }: StartedJob, job: Job, place: Place): Item {
  const { certificate, starts } = job;
  const { run, ...attempt } = job.trail;
  if (starts === undefined) return { ...place, certificate, attempt, told: run };
  // A version with layout 1 counted the starts that it told of; one more than those ended without a word. It took a service that failed to have
  // done nothing.
  const effectUnknown = attempt.effectUnknown || attempt.failures > 0;
  const told = starts === attemptsStarted - 1 ? UNNAMED_RUN : '';
  return { ...place, certificate, attempt: { ...attempt, effectUnknown }, told };
}

/** What of an item's place goes into its job. */
export function placeOf({ batch, n, adoptedFrom }: Item): Pick<JobData, 'batch' | 'n' | 'key'> {
  return { batch, n, ...(adoptedFrom !== undefined && { key: adoptedFrom }) };
}

/** The data of a job with the place that its item was adopted into; undefined where it is there already, or where the job needs none. */
export function placedData(data: unknown, located: Located): object | undefined {
  const { item } = located;
  if (item.adoptedFrom === undefined) return undefined;
  if (located.kind === 'item') {
    const known = data as JobData;
    return known.n === item.n ? undefined : { ...known, ...placeOf(item), trail: { ...item.attempt, run: item.told } };
  }
  if (parseRefused(data)?.n === item.n) return undefined;
  // With a number alone it would pass for a sound one if it were run again.
  const { code, message } = located;
  return { refused: { n: item.n, key: item.adoptedFrom, code, message, data } satisfies RefusedJob };
}

/** The certificate that a job names; for one that names none, the text of what its producer sent, cut where it is long. */
function namedBy(data: unknown): Certificate {
  const parsed = parseJob(data);
  if (parsed.ok) return parsed.job.certificate;
  const text = JSON.stringify(data) ?? 'undefined';
  return { instanceId: '', caSn: '', deviceSn: text.length > 500 ? `${text.slice(0, 500)}...` : text };
}

function isSame(kept: Certificate | undefined, named: Certificate): boolean {
  return kept?.instanceId === named.instanceId && kept.caSn === named.caSn && kept.deviceSn === named.deviceSn;
}

export function standingBatchOf(account: string): string {
  return `${STANDING_PREFIX}${account}`;
}
