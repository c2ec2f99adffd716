import type { Motive } from '../../audit/note.ts';
import { DEFAULT_ACTION } from '../../core/action.ts';
import type { Certificate } from '../../core/certificate.ts';
import { DEFAULT_DIRECT, judgeDirectJob, type DirectRules, type DirectVerdict } from '../../core/direct-job.ts';
import type { Run } from '../../ledger/call-notes.ts';
import type { ChunkReader } from '../../ledger/chunk-reader.ts';
import { directBatchOf, isDirectBatch } from '../../ledger/direct-items.ts';
import { UNNAMED_RUN } from '../../ledger/former-layouts.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import type { BatchGate, BatchStateCache } from '../batch-state-cache.ts';
import {
  motiveOf,
  parseJob,
  parseRefused,
  retriesOfJob,
  type Job,
  type JobData,
  type RefusedJob,
} from '../contract.ts';
import { signedWith } from '../signature.ts';
import type { Item } from './item.ts';
import { stepsOf } from './steps.ts';

/** `stale`: of an item that was retried since as another job, that was settled and forgotten, or that was refused. */
export type ResolvedJob = { readonly kind: 'item'; readonly item: Item } | { readonly kind: 'stale' } | Unusable;

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
  readonly isUrgent: boolean;
  readonly run: Run;
  /** Of BullMQ: how often it was handed to a worker, this time included. */
  readonly attemptsStarted: number;
}

/** A single certificate that belongs to no batch is deleted. */
type Place = Pick<Item, 'batch' | 'n' | 'key' | 'requestedBy' | 'reason'> & Partial<Pick<Item, 'action'>>;
type JobLedger = Pick<Ledger, 'direct' | 'former' | 'retirements'>;

/** Finds the item that a job of contract version 1 is for; one that belongs to no batch gets its place in the account's direct batch. */
export class JobResolver {
  readonly #ledger: JobLedger;
  readonly #chunks: ChunkReader;
  readonly #states: BatchStateCache;
  readonly #directBatch: string;

  readonly #policy: DirectRules['policy'];
  readonly #isSigned: ReturnType<typeof signedWith> | undefined;

  constructor(
    ledger: JobLedger,
    chunks: ChunkReader,
    states: BatchStateCache,
    account: string,
    { policy, jobKey }: DirectRules = { policy: DEFAULT_DIRECT },
  ) {
    this.#ledger = ledger;
    this.#chunks = chunks;
    this.#states = states;
    this.#directBatch = directBatchOf(account);
    this.#policy = policy;
    this.#isSigned = jobKey === undefined ? undefined : signedWith(jobKey);
  }

  /** @throws HourlyLimitReached or BeingCancelled, where the direct batch takes nothing in for now; or the client's error */
  async resolve(started: StartedJob): Promise<ResolvedJob> {
    const refused = await this.#refusedBefore(started);
    if (refused !== undefined) return refused;
    const parsed = parseJob(started.data);
    if (!parsed.ok) return this.#unusable(started, 'malformed-job', parsed.message);
    const { job } = parsed;
    const { item } = job;
    const retries = item && retriesOfJob(started.id ?? '', item.batch, item.n);
    const gate = item && (await this.#gateOf(item));
    if (item === undefined || gate === undefined) {
      if (item === undefined || retries === undefined) {
        // What is in the ledger was judged when it came in.
        const verdict = this.#judge(started, job);
        if (verdict.kind === 'refused') return this.#unusable(started, verdict.code, verdict.message);
        const place = await this.#adopt(started, job.certificate, job.motive);
        return { kind: 'item', item: itemOf(started, job.certificate, place) };
      }
      // Our own feeder made it, so its batch was there, and was cancelled and forgotten since: nobody wants this call any more.
      const message = `batch ${item.batch} no longer exists; retry the dead letter to revoke the certificate anyway`;
      return this.#unusable(started, 'unknown-batch', message);
    }
    if (!(await this.#isSame(item, job.certificate))) {
      // Its run died after settling it, and the item was forgotten since.
      if (isDirectBatch(item.batch) && (await this.#ledger.direct.isForgotten(item.batch, item.n)))
        return { kind: 'stale' };
      // Settling under its number would tell a lie about another certificate.
      const message = `item ${item.n} of batch ${item.batch} is another certificate than the job names`;
      return this.#unusable(started, 'malformed-job', message);
    }
    const isDirect = isDirectBatch(item.batch);
    // Its own run writes its letter; else any job that names its number would have it called for.
    if (isDirect && (await this.#ledger.direct.item(item.batch, item.n))?.refused !== undefined)
      return { kind: 'stale' };
    const key = isDirect ? (job.key ?? started.id) : undefined;
    // An item of a submitted batch has jobs of ours only: what another one says of its past is made up.
    if (isDirect || retries !== undefined) {
      const former = await this.#ledger.former.retries(item.batch, item.n);
      if (former > (retries ?? 0)) return { kind: 'stale' };
      await this.#takeOver(started, job, item);
    }
    return {
      kind: 'item',
      item: itemOf(started, job.certificate, {
        ...item,
        ...(await stepsOf(this.#ledger, gate, item.batch, [item.n]))(item.n),
        ...(key !== undefined && { key, ...job.motive }),
      }),
    };
  }

  /** A version before layout 3 kept in the job what its item had been through. */
  async #takeOver({ attemptsStarted }: StartedJob, job: Job, { batch, n }: NonNullable<Job['item']>): Promise<void> {
    const layout = (await this.#states.of(batch))?.layout ?? 0;
    if (layout >= 3) return;
    const { run, ...attempt } = job.trail;
    const deaths = job.history === undefined ? '' : JSON.stringify(job.history);
    if (job.starts === undefined) return this.#ledger.former.takeOver(batch, n, attempt, run, deaths);
    // Layout 1 counted the starts that it told of; one more than those ended without a report. It took a service that failed to have done nothing.
    const effectUnknown = attempt.effectUnknown || attempt.failures > 0;
    const told = job.starts === attemptsStarted - 1 ? UNNAMED_RUN : '';
    return this.#ledger.former.takeOver(batch, n, { ...attempt, effectUnknown }, told, deaths);
  }

  /** Of the item's batch; undefined where its producer named a batch of its own, or one that is no longer in Redis. */
  async #gateOf({ batch, n }: NonNullable<Job['item']>): Promise<BatchGate | undefined> {
    // Another account's: its own worker has the item's job.
    if (isDirectBatch(batch) && batch !== this.#directBatch) return undefined;
    const gate = await this.#states.of(batch);
    // A direct batch grows all the time; its own count decides, not what we remember of it.
    return gate !== undefined && n >= gate.accepted && !isDirectBatch(batch) ? undefined : gate;
  }

  async #isSame({ batch, n }: NonNullable<Job['item']>, named: Certificate): Promise<boolean> {
    return isSame(await this.#chunks.certificate(batch, n), named);
  }

  async #adopt(started: StartedJob, certificate: Certificate, motive: Motive, refused = ''): Promise<Place> {
    const rules = { ...motive, maxPerHour: this.#policy.maxPerHour, refused };
    const { n, key } = await this.#ledger.direct.adopt(this.#directBatch, started.id ?? '', certificate, rules);
    return { batch: this.#directBatch, n, key, ...motive };
  }

  #judge({ id = '', data }: StartedJob, { certificate }: Job): DirectVerdict {
    const { requestedBy, reason, expires, sig } = data as Readonly<Record<string, unknown>>;
    const claiming = { jobId: id, certificate, requestedBy, reason, expires, sig };
    return judgeDirectJob(claiming, this.#policy, Date.now() / 1_000, this.#isSigned);
  }

  async #unusable(started: StartedJob, code: string, message: string): Promise<Unusable> {
    const certificate = namedBy(started.data);
    return {
      kind: 'unusable',
      item: itemOf(started, certificate, await this.#adopt(started, certificate, motiveOf(started.data), code)),
      code,
      message,
    };
  }

  /** A job that a run found unusable, and took down where it is kept, before that run died. */
  async #refusedBefore(started: StartedJob): Promise<Unusable | undefined> {
    const { id = '' } = started;
    const refused = parseRefused(started.data);
    if (refused === undefined || refused.key.replace(ADOPTED_AGAIN, '') !== id) return undefined;
    const { n, key, code, message } = refused;
    const certificate = namedBy(refused.data);
    // What another producer claims must not end an item that is somebody else's.
    const isOurs = await this.#ledger.direct.isAdoptedAs(this.#directBatch, key, n);
    const kept = await this.#ledger.direct.item(this.#directBatch, n);
    if (!isOurs || kept?.refused === undefined || !isSame(kept.certificate, certificate)) return undefined;
    return {
      kind: 'unusable',
      item: itemOf(started, certificate, { batch: this.#directBatch, n, key, ...motiveOf(refused.data) }),
      code,
      message,
    };
  }
}

/** The end of the key of a job whose id names another certificate already. */
const ADOPTED_AGAIN = /#[0-9a-f]{40}$/;

function itemOf({ run, isUrgent }: StartedJob, certificate: Certificate, place: Place): Item {
  return { action: DEFAULT_ACTION, ...place, certificate, run, isUrgent };
}

/** The data of a job with the place that its item was adopted into; undefined where it is there already, or where the job needs none. */
export function placedData(data: unknown, resolved: Exclude<ResolvedJob, { kind: 'stale' }>): object | undefined {
  const { batch, n, key } = resolved.item;
  if (key === undefined) return undefined;
  if (resolved.kind === 'item') {
    const known = data as JobData;
    return known.n === n ? undefined : { ...known, batch, n, key };
  }
  if (parseRefused(data)?.n === n) return undefined;
  // With a number alone it would pass for a sound one if it were run again.
  const { code, message } = resolved;
  return { refused: { n, key, code, message, data } satisfies RefusedJob };
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
