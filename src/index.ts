import { accountOf } from './runtime/config/config.ts';
import { loadConfig } from './runtime/config/load-config.ts';
import { redisPlaceOf } from './runtime/config/redis-place.ts';
import { environment } from './runtime/environment.ts';
import { connect } from './runtime/redis/connection.ts';
import { describeRedisError } from './runtime/redis/describe-error.ts';
import { openRedis } from './runtime/redis/open-redis.ts';
import { parseCertificate, describeFault, CERTIFICATE_FIELDS, type Certificate } from './core/certificate.ts';
import type { Priority } from './ledger/batch-record.ts';
import { refuseNewerLayout } from './ledger/layout.ts';
import { Ledger } from './ledger/ledger.ts';
import type { ManifestRow } from './manifest/row.ts';
import { KEY_PREFIX } from './queue/contract.ts';
import { batchStatus, statusOf, type BatchStatus } from './queue/overview.ts';
import { RevokeQueue } from './queue/revoke-queue.ts';
import { submitDirect } from './queue/submit/direct.ts';
import { planManifest } from './queue/submit/submission.ts';
import { ManifestSummarizer, type Rejection, type ManifestSummary } from './queue/submit/manifest-summary.ts';

export type { Certificate } from './core/certificate.ts';
export type { BatchState } from './core/batch.ts';
export type { Priority } from './ledger/batch-record.ts';
export type { BatchStatus } from './queue/overview.ts';
export type { Rejection } from './queue/submit/manifest-summary.ts';
export type { JobData } from './queue/contract.ts';
export { CONTRACT_VERSION, JOB_NAME, JOB_PRIORITY, KEY_PREFIX, queueName } from './queue/contract.ts';
export { ConfigError } from './runtime/config/faults.ts';
export { NewerLayout } from './ledger/layout.ts';
export { ScratchUnavailable } from './manifest/scratch-file.ts';
export { RedisUnavailable } from './runtime/redis/describe-error.ts';

export interface ProducerOptions {
  /** Path of the configuration; absent: the variable CERTSWEEP_CONFIG, and the other CERTSWEEP_* variables. */
  readonly config?: string;
  /** Hears connection errors and what the embedded Redis does, as one sentence each. Default: nobody. */
  readonly onTrouble?: (message: string) => void;
}

export interface SubmitOptions {
  /** `urgent` runs before `bulk`. Default `bulk`. */
  readonly priority?: Priority;
  /** Kept with the batch. */
  readonly requestedBy?: string;
  /** Kept with the batch. */
  readonly reason?: string;
  /** Leave invalid certificates out, instead of refusing all of them. */
  readonly skipInvalid?: boolean;
}

/** What became of a submission. */
export interface Submitted {
  /** Where the certificates are; null when none was accepted. */
  readonly batch: string | null;
  /** Certificates that will be revoked. */
  readonly accepted: number;
  /** Named twice, or pending already from an earlier submission: not accepted again. */
  readonly duplicates: number;
  /** Invalid ones. Without `skipInvalid` a single one refuses the whole submission. */
  readonly rejected: number;
  /** The first hundred of them; `line` is the position in the input, from 1. */
  readonly rejections: readonly Rejection[];
}

/**
 * Redis did not answer whether it has taken a submission: its certificates may be revoked, now or later. `status(batch)` tells once Redis is back, and
 * submitting the same again is harmless: while the first is at work, the second joins it.
 */
export class SubmissionUnknown extends Error {
  override readonly name = 'SubmissionUnknown';
  /** The batch that the certificates are in, should they have been taken. */
  readonly batch: string;

  /** @param cause - the client's error */
  constructor(batch: string, cause: unknown) {
    super(
      `Redis did not answer whether it has taken the submission (${describeRedisError(cause)}): its certificates may be revoked as batch ${batch}. ` +
        'Look for the batch when Redis is back, or submit the same again',
      { cause },
    );
    this.batch = batch;
  }
}

/** Hands certificates to the workers. */
export interface Producer {
  /**
   * Submits one certificate, or any number of them as one batch. The input is read once, in memory that hardly grows with it:
   * from some 780,000 certificates on, what finds duplicates is in the folder for temporary files, but for 1.4 bytes of each.
   * When it resolves, the certificates are in Redis and will be revoked. A single certificate joins the direct batch of its account.
   * @throws RedisUnavailable, or the client's error, when Redis does not take them; ScratchUnavailable, when that folder does not.
   * Then nothing was accepted. SubmissionUnknown, when Redis did not answer: then it may have been
   */
  submit(
    certificates: Certificate | Iterable<Certificate> | AsyncIterable<Certificate>,
    options?: SubmitOptions,
  ): Promise<Submitted>;
  /** Undefined when there is no such batch. */
  status(batch: string): Promise<BatchStatus | undefined>;
  /** Ends the connections, and an embedded Redis that nobody else uses. */
  close(): Promise<void>;
}

/**
 * Opens Redis as the configuration says, for a service that submits certificates itself.
 * @throws ConfigError, RedisUnavailable within seconds, or NewerLayout where a newer version works on that Redis
 */
export async function createProducer(options: ProducerOptions = {}): Promise<Producer> {
  const config = await loadConfig({ environment, ...(options.config !== undefined && { path: options.config }) });
  const tell = options.onTrouble ?? (() => undefined);
  const open = await openRedis(redisPlaceOf(config, environment), () => undefined);
  const redis = connect(open, 'producer', (error) => tell(error.message));
  try {
    await refuseNewerLayout(redis, KEY_PREFIX);
  } catch (error) {
    redis.disconnect();
    await open.close();
    throw error;
  }
  const ledger = new Ledger(redis, KEY_PREFIX);
  const queues = new Map<string, RevokeQueue>();
  const ownerOf = (instanceId: string): string | undefined => accountOf(config, instanceId)?.name;

  function queueOf(account: string): RevokeQueue {
    const known = queues.get(account);
    if (known !== undefined) return known;
    const queue = new RevokeQueue(redis, KEY_PREFIX, account);
    queues.set(account, queue);
    return queue;
  }

  async function submitOne(certificate: Certificate, priority: Priority): Promise<Submitted> {
    const summarizer = new ManifestSummarizer(ownerOf);
    const item = summarizer.add(rowOf(certificate, 1));
    summarizer.close();
    const account = item === undefined ? undefined : ownerOf(item.instanceId);
    if (item === undefined || account === undefined) return nothingAccepted(summarizer.summary);
    const submitted = await submitDirect({ redis, ledger }, queueOf(account), account, item, priority);
    const { batch } = submitted;
    if (submitted.kind === 'unknown') throw new SubmissionUnknown(batch, submitted.error);
    const { isNew } = submitted;
    return { batch, accepted: isNew ? 1 : 0, duplicates: isNew ? 0 : 1, rejected: 0, rejections: [] };
  }

  async function submitMany(
    certificates: Iterable<Certificate> | AsyncIterable<Certificate>,
    { priority = 'bulk', requestedBy, reason, skipInvalid = false }: SubmitOptions,
  ): Promise<Submitted> {
    const details = {
      priority,
      ...(requestedBy !== undefined && { requestedBy }),
      ...(reason !== undefined && { reason }),
    };
    const plan = await planManifest(rowsOf(certificates), ownerOf, { redis, ledger }, details);
    const { accepted, duplicates, rejected, rejections } = plan.summary;
    if (accepted === 0 || (rejected > 0 && !skipInvalid)) {
      await plan.discard();
      return nothingAccepted(plan.summary);
    }
    const activated = await plan.activate();
    switch (activated.kind) {
      case 'running':
        return { batch: activated.batch, accepted, duplicates, rejected, rejections };
      case 'duplicate':
        return { batch: activated.batch, accepted: 0, duplicates: duplicates + accepted, rejected, rejections };
      case 'unknown':
        throw new SubmissionUnknown(activated.batch, activated.error);
      case 'gone':
        throw new Error('Redis lost the submission before it was complete: nothing was accepted, submit it again');
    }
  }

  return {
    submit: (certificates, how = {}) =>
      isOne(certificates) ? submitOne(certificates, how.priority ?? 'bulk') : submitMany(certificates, how),
    async status(batch) {
      const detail = await batchStatus(ledger, batch);
      return detail === undefined ? undefined : statusOf(detail);
    },
    async close() {
      await Promise.all([...queues.values()].map((queue) => queue.close()));
      redis.disconnect();
      await open.close();
    },
  };
}

function isOne(input: Certificate | Iterable<Certificate> | AsyncIterable<Certificate>): input is Certificate {
  return !(Symbol.iterator in input) && !(Symbol.asyncIterator in input);
}

function nothingAccepted({ duplicates, rejected, rejections }: ManifestSummary): Submitted {
  return { batch: null, accepted: 0, duplicates, rejected, rejections };
}

async function* rowsOf(
  certificates: Iterable<Certificate> | AsyncIterable<Certificate>,
): AsyncGenerator<readonly ManifestRow[]> {
  let line = 0;
  for await (const certificate of certificates) {
    line += 1;
    yield [rowOf(certificate, line)];
  }
}

/** Its type is a promise that JavaScript need not keep. */
function rowOf(certificate: unknown, line: number): ManifestRow {
  const isObject = typeof certificate === 'object' && certificate !== null;
  const fields = isObject ? (certificate as Partial<Record<(typeof CERTIFICATE_FIELDS)[number], unknown>>) : {};
  const parsed = parseCertificate({
    instanceId: fields.instanceId,
    caSn: fields.caSn,
    deviceSn: fields.deviceSn,
  });
  return parsed.ok
    ? { line, ok: true, certificate: parsed.certificate }
    : { line, ok: false, reason: describeFault(parsed.fault) };
}
