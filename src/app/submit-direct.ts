import type { Motive } from '../audit/note.ts';
import type { Priority } from '../ledger/batch-record.ts';
import type { ManifestRow } from '../manifest/row.ts';
import { AccountQueues } from '../queue/queues.ts';
import { submitDirect } from '../queue/submit/direct.ts';
import { ManifestSummarizer } from '../queue/submit/manifest-summary.ts';
import { ownerIn } from './accounts.ts';
import { lacksReason } from './acting.ts';
import type { Store } from './store.ts';
import type { SubmitOutcome } from './submit.ts';

/** How the submission of a single certificate ends. */
export type DirectOutcome = Extract<
  SubmitOutcome,
  { readonly kind: 'running' | 'at-work' | 'bad-rows' | 'unknown' | 'reason-required' }
>;

/**
 * Takes single certificates in, each into the direct batch of its account. Apart from the submission of manifests, since it loads BullMQ, which takes
 * a command half a second.
 */
export class DirectSubmitter {
  readonly #store: Store;
  readonly #queues = new Map<string, AccountQueues>();

  /** @param store - stays open when this is closed */
  constructor(store: Store) {
    this.#store = store;
  }

  /** @throws Redis' error when it was certainly not taken, and BeingCancelled */
  async submit(row: ManifestRow, priority: Priority, motive: Motive = {}): Promise<DirectOutcome> {
    if (lacksReason(this.#store, motive)) return { kind: 'reason-required' };
    const ownerOf = ownerIn(this.#store.config);
    const summarizer = new ManifestSummarizer(ownerOf);
    const certificate = summarizer.add(row);
    summarizer.close();
    const account = certificate === undefined ? undefined : ownerOf(certificate.instanceId);
    if (certificate === undefined || account === undefined) return { kind: 'bad-rows', summary: summarizer.summary };
    const taken = await submitDirect(this.#store, this.#queueOf(account), account, certificate, priority, motive);
    const { batch } = taken;
    if (taken.kind === 'unknown') return { kind: 'unknown', batch, rejected: 0, error: taken.error };
    return taken.isNew
      ? { kind: 'running', submitted: { batch, accepted: 1, duplicates: 0, rejected: 0, rejections: [] } }
      : { kind: 'at-work', submitted: { batch, accepted: 0, duplicates: 1, rejected: 0, rejections: [] } };
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
