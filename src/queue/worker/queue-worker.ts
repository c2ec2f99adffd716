import type { Job as BullJob, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import * as bullmq from '../bullmq.ts';
import { LOCK_MS } from './job-runner.ts';

export interface QueueWorkerParts {
  readonly queue: string;
  readonly redis: Redis;
  readonly prefix: string;
  readonly run: (job: BullJob, token?: string) => Promise<void>;
  /**
   * How often an empty queue is read, seconds. A worker that pauses while it waits still takes the wake-up of a delayed job, and does nothing with
   * it; the others find that job by this read.
   */
  readonly pollEveryS: number;
  readonly onError: (error: Error) => void;
}

/** A killed worker's jobs are taken up after at most lock and interval together. */
const LOCK = { lockDuration: LOCK_MS, stalledInterval: 2_000, maxStalledCount: 100 } as const;
/** Jobs ready, none in hand, for this long: the worker has fallen silent (bullmq#2466, #2964, #3185). */
const SILENT_AFTER_MS = 20_000;

/** BullMQ's worker on one queue: how much it takes, whether it takes anything, and whether it has fallen silent. */
export class QueueWorker {
  readonly #parts: QueueWorkerParts;
  #worker: Worker;
  #inHand = 0;
  #isPaused = false;
  #lastTakenMs = performance.now();

  constructor(parts: QueueWorkerParts, concurrency: number) {
    this.#parts = parts;
    this.#worker = this.#open(concurrency);
  }

  /** Has at most this many jobs in hand; with 0 it takes none. */
  take(concurrency: number): void {
    if (concurrency > 0) this.#worker.concurrency = concurrency;
    const isPaused = concurrency === 0;
    if (isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    this.#lastTakenMs = performance.now();
    (isPaused ? this.#worker.pause(true) : this.#worker.resume()).catch(this.#parts.onError);
  }

  /** Has taken no job for so long that it is in trouble if one is ready. */
  get isIdleForLong(): boolean {
    return !this.#isPaused && this.#inHand === 0 && performance.now() - this.#lastTakenMs > SILENT_AFTER_MS;
  }

  /** No job is ready: that it takes none is no sign of trouble. */
  foundEmpty(): void {
    this.#lastTakenMs = performance.now();
  }

  /** Starts over with a connection of its own. */
  async reopen(): Promise<void> {
    this.#lastTakenMs = performance.now();
    const { concurrency } = this.#worker;
    await this.#worker.close(true);
    this.#worker = this.#open(concurrency);
  }

  /** Takes no more jobs. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    await this.#worker.pause(true);
  }

  /** Resolves when the jobs in hand have ended. */
  close(): Promise<void> {
    return this.#worker.close();
  }

  #open(concurrency: number): Worker {
    const { queue, redis, prefix, run, pollEveryS, onError } = this.#parts;
    const counted = async (job: BullJob, token?: string): Promise<void> => {
      this.#inHand += 1;
      this.#lastTakenMs = performance.now();
      try {
        await run(job, token);
      } finally {
        this.#inHand -= 1;
      }
    };
    const worker = new bullmq.Worker(queue, counted, {
      connection: redis,
      prefix,
      skipVersionCheck: true,
      concurrency,
      removeOnComplete: { count: 0 },
      drainDelay: pollEveryS,
      ...LOCK,
    });
    worker.on('error', onError);
    return worker;
  }
}
