import type { Motive } from '../audit/note.ts';
import type { Certificate } from '../core/certificate.ts';
import { judgeDirectJob, type DirectPolicy, type DirectRefusal } from '../core/direct-job.ts';
import type { Priority } from '../ledger/batch-record.ts';
import type { ManifestRow } from '../manifest/row.ts';
import { AccountQueues } from '../queue/queues.ts';
import { submitDirect } from '../queue/submit/direct.ts';
import { ManifestSummarizer } from '../queue/submit/manifest-summary.ts';
import { BeingCancelled, HourlyLimitReached } from '../ledger/direct-items.ts';
import { accountOf } from '../runtime/config/config.ts';
import { jobKeyMissing } from '../runtime/config/job-key.ts';
import { ownerIn } from './accounts.ts';
import { acting, lacksReason } from './acting.ts';
import type { Store } from './store.ts';
import type { SubmitOutcome } from './submit.ts';

export { BeingCancelled, HourlyLimitReached };

/** How the submission of a single certificate ends. */
export type DirectOutcome = Extract<
  SubmitOutcome,
  { readonly kind: 'running' | 'at-work' | 'bad-rows' | 'unknown' | 'reason-required' }
>;

/** The account does not take the certificate as a single one: nothing was accepted. */
export class DirectRefused extends Error {
  override readonly name = 'DirectRefused';
  readonly code: DirectRefusal;

  constructor(code: DirectRefusal, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Takes single certificates in, each into the direct batch of its account. Apart from the submission of manifests, since it loads BullMQ, which takes
 * a command half a second.
 */
export class DirectSubmitter {
  readonly #store: Store;
  readonly #queues = new Map<string, AccountQueues>();

  readonly #jobKey: string | undefined;

  /**
   * @param store - stays open when this is closed
   * @param jobKey - of signed jobs
   */
  constructor(store: Store, jobKey?: string) {
    this.#store = store;
    this.#jobKey = jobKey;
  }

  /** @throws Redis' error when it was certainly not taken, BeingCancelled, HourlyLimitReached, DirectRefused and AuditFileUnavailable */
  async submit(row: ManifestRow, priority: Priority, motive: Motive = {}): Promise<DirectOutcome> {
    if (lacksReason(this.#store, motive)) return { kind: 'reason-required' };
    const { config } = this.#store;
    const ownerOf = ownerIn(config);
    const summarizer = new ManifestSummarizer(ownerOf);
    const certificate = summarizer.add(row);
    summarizer.close();
    const account = certificate === undefined ? undefined : accountOf(config, certificate.instanceId);
    if (certificate === undefined || account === undefined) return { kind: 'bad-rows', summary: summarizer.summary };
    const { name, direct: policy } = account;
    this.#refuse(certificate, policy, name);
    const rules = { policy, ...(this.#jobKey !== undefined && { jobKey: this.#jobKey }) };
    await this.#store.auditFile?.open();
    const taken = await submitDirect(
      this.#store,
      this.#queueOf(name),
      name,
      certificate,
      priority,
      motive,
      rules,
    ).catch(async (error: unknown) => {
      // Of all that a single certificate does, only this pause is on record. If its reply was lost, it looks like another's pause.
      if (error instanceof HourlyLimitReached) await acting(this.#store, async () => undefined);
      throw error;
    });
    const { batch } = taken;
    if (taken.kind === 'unknown') return { kind: 'unknown', batch, rejected: 0, error: taken.error };
    return taken.isNew
      ? { kind: 'running', submitted: { batch, accepted: 1, duplicates: 0, rejected: 0, rejections: [] } }
      : { kind: 'at-work', submitted: { batch, accepted: 0, duplicates: 1, rejected: 0, rejections: [] } };
  }

  #refuse(certificate: Certificate, policy: DirectPolicy, account: string): void {
    // A holder of the key signs its own jobs.
    const isSigned = policy.accept === 'signed' && this.#jobKey !== undefined;
    const asked = isSigned ? { ...policy, accept: 'any' as const } : policy;
    const verdict = judgeDirectJob({ jobId: '', certificate }, asked, 0);
    if (verdict.kind === 'accepted') return;
    const { code, message } = verdict;
    throw new DirectRefused(code, code === 'unsigned-job' ? jobKeyMissing([account]) : message);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
  }

  #queueOf(account: string): AccountQueues {
    const known = this.#queues.get(account);
    if (known !== undefined) return known;
    const queue = new AccountQueues(this.#store.redis, this.#store.prefix, account);
    this.#queues.set(account, queue);
    return queue;
  }
}
