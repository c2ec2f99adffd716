import type { Redis } from 'ioredis';
import { directBatchOf } from '../../ledger/direct-items.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import type { Limiter } from '../../limiter/contract.ts';
import type { BatchStateCache } from '../batch-state-cache.ts';
import { blockQueueName, queueName } from '../contract.ts';
import type { HostIntake } from '../process/host-watch.ts';
import type { AccountQueues } from '../queues.ts';
import type { ConcurrencyTarget } from './concurrency.ts';
import type { JobRunner } from './job-runner.ts';
import { QueueWorker } from './queue-worker.ts';

type IntakeEvent =
  | { readonly kind: 'silent'; readonly again: boolean }
  | { readonly kind: 'trouble'; readonly during: string; readonly error: Error };

export interface IntakeParts {
  readonly redis: Redis;
  readonly prefix: string;
  readonly account: { readonly name: string; readonly instances: readonly string[] };
  readonly ledger: Pick<Ledger, 'former'>;
  readonly queues: AccountQueues;
  readonly runner: Pick<JobRunner, 'runBlock' | 'runDirect'>;
  readonly limiter: Pick<Limiter, 'isHalted' | 'admits'>;
  readonly states: BatchStateCache;
  readonly concurrency: ConcurrencyTarget;
  readonly tell: (event: IntakeEvent) => void;
}

/** What waits would make a probe that is due by then: where nothing does, a job is taken for it. */
const PROBE_OVERDUE_MS = 5_000;
/** Producers delay jobs, and an urgent one is called for within a second. */
const DIRECT_POLL_S = 1;
/** A block is delayed only when it was given back. */
const BLOCKS_POLL_S = 3;

/** How much this process takes from the account's three queues, and from what waits. */
export class Intake {
  readonly #parts: IntakeParts;
  readonly #direct: QueueWorker;
  readonly #blocks: readonly QueueWorker[];
  #host: HostIntake = 'all';
  #isDirectPaused = false;
  #probeDueSinceMs: number | undefined;
  #wasSilent = false;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    const { account, runner, concurrency, tell } = parts;
    const onError = (error: Error): void => tell({ kind: 'trouble', during: 'queue', error });
    const direct = { queue: queueName(account.name), run: runner.runDirect, pollEveryS: DIRECT_POLL_S };
    this.#direct = new QueueWorker({ ...parts, ...direct, onError }, concurrency.items);
    this.#blocks = (['urgent', 'bulk'] as const).map((priority) => {
      const blocks = {
        queue: blockQueueName(account.name, priority),
        run: runner.runBlock,
        pollEveryS: BLOCKS_POLL_S,
      };
      return new QueueWorker({ ...parts, ...blocks, onError }, concurrency.blocks);
    });
  }

  /** What this host can do has changed. */
  follow(host: HostIntake): void {
    this.#host = host;
    this.#apply();
  }

  /** Follows the latency of calls, halts, and the state of the direct batch. */
  async tune(): Promise<void> {
    const { states, account } = this.#parts;
    const direct = await states.of(directBatchOf(account.name));
    // Jobs of submitted batches that an older version made are in the same queue: with them, each job finds out by itself that it waits.
    this.#isDirectPaused = direct?.state === 'paused' && !(await this.#parts.ledger.former.mayHaveJobs());
    this.#apply();
  }

  /** How many items that wait this process could take of an instance. @param inHand - taken so, and not ended */
  roomFor(instanceId: string, inHand: number): number {
    const { limiter, concurrency } = this.#parts;
    const admits = limiter.admits(instanceId);
    if (this.#host === 'none' || admits === 'none') return 0;
    if (this.#host === 'one' || admits === 'probe') return inHand === 0 ? 1 : 0;
    return Math.max(0, concurrency.items - inHand);
  }

  /** Starts over where jobs are ready and none is taken. */
  async reviveSilent(): Promise<void> {
    const { queues, tell } = this.#parts;
    if (![this.#direct, ...this.#blocks].some((worker) => worker.isIdleForLong)) return;
    const { blocks, direct } = await queues.backlog();
    const ready = [direct, blocks.urgent, blocks.bulk];
    for (const [at, worker] of [this.#direct, ...this.#blocks].entries()) {
      if (!worker.isIdleForLong) continue;
      if (ready[at] === 0) {
        worker.foundEmpty();
        continue;
      }
      tell({ kind: 'silent', again: this.#wasSilent });
      this.#wasSilent = true;
      await worker.reopen();
    }
  }

  /** Takes no more. */
  async pause(): Promise<void> {
    await Promise.all([this.#direct, ...this.#blocks].map((worker) => worker.pause()));
  }

  /** Resolves when the jobs in hand have ended. */
  async close(): Promise<void> {
    await Promise.all([this.#direct, ...this.#blocks].map((worker) => worker.close()));
  }

  #apply(): void {
    const { concurrency } = this.#parts;
    const intake = this.#intake();
    const most = (jobs: number): number => (intake === 'none' ? 0 : intake === 'one' ? 1 : jobs);
    this.#direct.take(this.#isDirectPaused ? 0 : most(concurrency.items));
    for (const worker of this.#blocks) worker.take(most(concurrency.blocks));
  }

  #intake(): HostIntake {
    const { limiter, account } = this.#parts;
    if (!limiter.isHalted) this.#probeDueSinceMs = undefined;
    if (this.#host !== 'all' || !limiter.isHalted) return this.#host;
    if (!account.instances.some((instanceId) => limiter.admits(instanceId) === 'probe')) {
      this.#probeDueSinceMs = undefined;
      return 'none';
    }
    this.#probeDueSinceMs ??= performance.now();
    return performance.now() - this.#probeDueSinceMs > PROBE_OVERDUE_MS ? 'one' : 'none';
  }
}
