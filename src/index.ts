import { Fleet, type InventorySelectors, type InventoryWalk, type Plan, type PlanOptions } from './app/fleet.ts';
import { batchStatus, statusOf, type BatchStatus } from './app/overview.ts';
import { openStore } from './app/store.ts';
import { DirectSubmitter } from './app/submit-direct.ts';
import { submitManifest, type Priority, type SubmitOutcome, type Submitted } from './app/submit.ts';
import { actionNamed, ACTIONS, DEFAULT_ACTION, type Action } from './core/action.ts';
import type { RetireDetails } from './core/retirement.ts';
import type { Certificate } from './core/certificate.ts';
import { rowOfObject, rowsOfObjects } from './manifest/objects.ts';
import { loadConfig } from './runtime/config/load-config.ts';
import { jobKeyOf } from './runtime/config/job-key.ts';
import { environment } from './runtime/environment.ts';
import { describeRedisError } from './runtime/redis/describe-error.ts';

export type { Certificate } from './core/certificate.ts';
export type { Action } from './core/action.ts';
export type { Phase, RetireDetails } from './core/retirement.ts';
export type { BatchState } from './core/batch.ts';
export type { BatchStatus } from './app/overview.ts';
export type {
  InventoryRow,
  InventorySelectors,
  InventorySummary,
  InventoryWalk,
  Plan,
  PlanOptions,
} from './app/fleet.ts';
export type { CaShare, ClassCounts, PlanObstacle } from './core/plan.ts';
export type { Priority, Rejection, Submitted } from './app/submit.ts';
export type { JobData } from './queue/contract.ts';
export { CONTRACT_VERSION, JOB_NAME, JOB_PRIORITY, KEY_PREFIX, queueName } from './queue/contract.ts';
export { DirectRefused, HourlyLimitReached } from './app/submit-direct.ts';
export { ConfigError } from './runtime/config/faults.ts';
export { AuditFileUnavailable } from './app/acting.ts';
export { CloudUnavailable } from './app/cloud-unavailable.ts';
export { InvalidCertificates } from './app/fleet.ts';
export { NewerLayout } from './app/store.ts';
export { ScratchUnavailable } from './manifest/scratch-file.ts';
export { RedisUnavailable } from './runtime/redis/describe-error.ts';

export interface ProducerOptions {
  /** Path of the configuration; absent: the variable CERTSWEEP_CONFIG, and the other CERTSWEEP_* variables. */
  readonly config?: string;
  /** Hears connection errors and what the embedded Redis does, as one sentence each. Default: nobody. */
  readonly onTrouble?: (message: string) => void;
}

export interface SubmitOptions {
  /** Action for the certificates. Default `delete`. With another action, a single certificate is a batch of its own. */
  readonly action?: Action;
  /** Of `retire`: how long the certificates stay inactive (default a day), and that no device can come back, which else their CAs must ensure. */
  readonly retire?: Partial<RetireDetails>;
  /** `urgent` runs before `bulk`. Default `bulk`. */
  readonly priority?: Priority;
  /** Kept on record, and with the batch or the single certificate. */
  readonly requestedBy?: string;
  /** Kept on record, and with the batch or the single certificate. */
  readonly reason?: string;
  /** Leave invalid certificates out, instead of refusing all of them. */
  readonly skipInvalid?: boolean;
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
      `Redis did not answer whether it has accepted the submission (${describeRedisError(cause)}): its certificates may be revoked as batch ${batch}. ` +
        'Look for the batch when Redis is back, or submit the same again',
      { cause },
    );
    this.batch = batch;
  }
}

/** The configuration wants a reason for each submission (`audit.requireReason`), and none was given: nothing was accepted. */
export class ReasonRequired extends Error {
  override readonly name = 'ReasonRequired';

  constructor() {
    super('The configuration wants a reason for each submission (audit.requireReason): give one as the option reason');
  }
}

/** Hands certificates to the workers. */
export interface Producer {
  /**
   * Submits one certificate, or any number of them as one batch. The input is read once, in memory that hardly grows with it:
   * from some 780,000 certificates on, what finds duplicates is in the folder for temporary files, but for 1.4 bytes of each.
   * When it resolves, the certificates are in Redis and will be revoked, or what `action` says. A single certificate to delete joins the
   * direct batch of its account.
   * @throws RedisUnavailable, or the client's error, when Redis does not take them; ScratchUnavailable, when that folder does not.
   * TypeError, where there is no such action; ReasonRequired, where the configuration wants one; AuditFileUnavailable, when the audit file cannot be appended to.
   * DirectRefused or HourlyLimitReached, when the account does not take a single certificate in, or no more of them for now.
   * Then nothing was accepted. SubmissionUnknown, when Redis did not answer: then it may have been
   */
  submit(
    certificates: Certificate | Iterable<Certificate> | AsyncIterable<Certificate>,
    options?: SubmitOptions,
  ): Promise<Submitted>;
  /** Undefined when there is no such batch. */
  status(batch: string): Promise<BatchStatus | undefined>;
  /**
   * What the cloud has registered for an instance, read with calls that keep the account's pace. Changes nothing. It ends when the caller stops reading.
   * @throws CloudUnavailable while it is read, where the cloud does not answer; TypeError where a PEM has no certificate; RangeError where a time is
   * none; ScratchUnavailable
   */
  inventory(instanceId: string, selectors?: InventorySelectors): InventoryWalk;
  /**
   * Holds certificates, or those that are selected of an instance, against what the cloud has. Changes nothing there.
   * @throws InvalidCertificates, CloudUnavailable, ScratchUnavailable, TypeError where a PEM has no certificate, RangeError where a time or a cap is
   * none, or the system's error where the file cannot be written: then none was
   */
  plan(
    source: Iterable<Certificate> | AsyncIterable<Certificate> | (InventorySelectors & { readonly instanceId: string }),
    options?: PlanOptions,
  ): Promise<Plan>;
  /** Ends inventories and plans, the connections, and an embedded Redis that nobody else uses. */
  close(): Promise<void>;
}

/**
 * Opens Redis as the configuration says, for a service that submits certificates itself.
 * @throws ConfigError, RedisUnavailable within seconds, or NewerLayout where a newer version works on that Redis
 */
export async function createProducer(options: ProducerOptions = {}): Promise<Producer> {
  const config = await loadConfig({ environment, ...(options.config !== undefined && { path: options.config }) });
  const tell = options.onTrouble ?? (() => undefined);
  const onError = (error: Error): void => tell(error.message);
  const jobKey = jobKeyOf(environment);
  const store = await openStore(config, { notice: () => undefined, onError, onTrouble: onError });
  const direct = new DirectSubmitter(store, jobKey);
  const fleet = new Fleet(store);
  return {
    async submit(
      certificates,
      { action = DEFAULT_ACTION, retire = {}, priority = 'bulk', requestedBy, reason, skipInvalid = false } = {},
    ) {
      // Nobody would know what to do with such a batch.
      if (actionNamed(action) === undefined)
        throw new TypeError(`action is ${action}: give one of ${ACTIONS.join(', ')}`);
      const motive = { ...(requestedBy !== undefined && { requestedBy }), ...(reason !== undefined && { reason }) };
      // What belongs to no batch is deleted.
      if (isOne(certificates) && action === DEFAULT_ACTION)
        return submittedOf(await direct.submit(rowOfObject(certificates, 1), priority, motive));
      const rows = rowsOfObjects(isOne(certificates) ? [certificates] : certificates);
      return submittedOf(await submitManifest(store, rows, { action, retire, priority, skipInvalid, ...motive }));
    },
    async status(batch) {
      const detail = await batchStatus(store.ledger, batch);
      return detail === undefined ? undefined : statusOf(detail);
    },
    inventory: (instanceId, selectors) => fleet.inventory(instanceId, selectors),
    plan: (source, caps) => fleet.plan(source, caps),
    async close() {
      await fleet.close();
      await direct.close();
      await store.close();
    },
  };
}

function isOne(input: Certificate | Iterable<Certificate> | AsyncIterable<Certificate>): input is Certificate {
  return !(Symbol.iterator in input) && !(Symbol.asyncIterator in input);
}

function submittedOf(outcome: SubmitOutcome): Submitted {
  switch (outcome.kind) {
    case 'running':
    case 'at-work':
      return outcome.submitted;
    case 'awaits-approval':
      return { ...outcome.submitted, awaitsApproval: true };
    case 'bad-rows':
    case 'empty':
    case 'unconfirmed': {
      const { duplicates, rejected, rejections } = outcome.summary;
      return { batch: null, accepted: 0, duplicates, rejected, rejections };
    }
    case 'reason-required':
      throw new ReasonRequired();
    case 'unknown':
      throw new SubmissionUnknown(outcome.batch, outcome.error);
    // The library submits no plan files and no occurrences of schedules, and has no idempotency keys.
    case 'used':
    case 'overtaken':
    case 'claim-lost':
    case 'gone':
      throw new Error('Redis lost the submission before it was complete: nothing was accepted, submit it again');
  }
}
