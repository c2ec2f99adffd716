import { Worker, type Job as BullJob } from 'bullmq';
import type { Redis } from 'ioredis';
import type { BackoffPolicy } from '../core/backoff.ts';
import type { BreakerPolicy } from '../core/batch.ts';
import type { DecidePolicy } from '../core/decide.ts';
import { ChunkReader } from '../ledger/chunk-reader.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { LimiterNotice } from '../limiter/contract.ts';
import { standingHalts } from '../limiter/halt-store.ts';
import { openLimiter, PROBE_INTERVAL_MS } from '../limiter/limiter.ts';
import { BatchStates } from './batch-states.ts';
import { ConcurrencyTarget } from './concurrency.ts';
import { queueName } from './contract.ts';
import { EndpointReads, type ReadingClient } from './endpoint-reads.ts';
import { every } from './every.ts';
import { Feeder, type FeederEvent } from './feeder.ts';
import { HostWatch, type HostEvent, type HostHalt, type Intake, type OthersView } from './host-watch.ts';
import { ItemLocator } from './item.ts';
import { LOCK_MS } from './job-wait.ts';
import { feedLease } from './feeding.ts';
import { createProcessor, type ProcessorEvent, type RevocationClient } from './processor.ts';
import { RevokeQueue } from './revoke-queue.ts';
import { sweepFailed } from './sweeper.ts';

export interface AccountWorkerOptions {
  /** A connection of the `worker` role; it stays the caller's. */
  readonly redis: Redis;
  readonly prefix: string;
  readonly ledger: Ledger;
  readonly account: { readonly name: string; readonly qps: number; readonly instances: readonly string[] };
  /** The account to which the configuration gives an instance. */
  readonly ownerOf: (instanceId: string) => string | undefined;
  readonly egress: { readonly id: string; readonly qps: number };
  readonly lateMs: number;
  /** The other processes that work for the account; none when not given. */
  readonly others?: OthersView;
  /** Between two probes of a halt, milliseconds; the limiter's own when not given. */
  readonly probeIntervalMs?: number;
  readonly policy: DecidePolicy & BackoffPolicy;
  readonly breaker: BreakerPolicy;
  readonly client: RevocationClient & ReadingClient & { close(): void };
  readonly refreshCredentials: () => void;
  readonly tell: (event: WorkerEvent) => void;
}

export type WorkerEvent =
  | ProcessorEvent
  | FeederEvent
  | HostEvent
  | { readonly kind: 'limiter'; readonly notice: LimiterNotice }
  | { readonly kind: 'swept'; readonly jobs: number }
  /** Jobs are ready and the worker takes none: it was made anew; `again` when even that did not help. */
  | { readonly kind: 'silent'; readonly again: boolean }
  | { readonly kind: 'trouble'; readonly during: string; readonly error: Error };

export interface AccountWorker {
  /** Jobs in hand. */
  readonly inHand: number;
  /** Why this process alone takes no jobs. */
  readonly hostHalts: readonly HostHalt[];
  /** When the last call left that proved access to the account, of `performance.now()`. */
  readonly provedMs: number | undefined;
  /** Stops taking jobs, lets calls under way end until the deadline, and gives back the rest; at most a second later, also where Redis is away. */
  close(deadlineMs: number): Promise<void>;
}

/** For what was in hand at the deadline to be given back. */
const GIVE_BACK_MS = 1_000;
const FEED_EVERY_MS = 100;
const SWEEP_EVERY_MS = 5_000;
const TUNE_EVERY_MS = 1_000;
const LOOK_EVERY_MS = 5_000;
const ALONE: OthersView = { isAlone: true, provenSince: () => false };
/** Jobs ready, none in hand, for so long: the worker has fallen silent (bullmq#2466, #2964, #3185). */
const SILENT_AFTER_MS = 20_000;
/** Ten seconds of work; bounded for paces that no cloud allows. */
const LOW_WATER_SECONDS = 10;
const LOW_WATER_MAX = 20_000;
/** A killed worker's jobs are taken up after at most lock and interval together. */
const LOCK = { lockDuration: LOCK_MS, stalledInterval: 2_000, maxStalledCount: 100 } as const;

/** Runs one account's queue in this process: feeds it, works on it, watches it. */
export function startAccountWorker(options: AccountWorkerOptions): AccountWorker {
  const { redis, prefix, ledger, account, tell } = options;
  const trouble = (during: string) => (error: Error) => tell({ kind: 'trouble', during, error });
  const owned = new Set(account.instances);
  const owns = (instanceId: string): boolean => owned.has(instanceId);
  const chunks = new ChunkReader(ledger);
  const states = new BatchStates(ledger);
  const queue = new RevokeQueue(redis, prefix, account.name);
  const locator = new ItemLocator(ledger, chunks, states, account.name);
  // A connection of its own: a reservation that queues behind a feeding of jobs would come too late.
  const paceRedis = redis.duplicate();
  paceRedis.on('error', trouble('pacing'));
  const limiter = openLimiter({
    redis: paceRedis,
    prefix,
    account,
    egress: options.egress,
    lateMs: options.lateMs,
    ...(options.probeIntervalMs !== undefined && { probeIntervalMs: options.probeIntervalMs }),
    onSignals: () => states.forget(),
    onNotice: (notice) => tell({ kind: 'limiter', notice }),
  });
  const concurrency = new ConcurrencyTarget(Math.min(account.qps, options.egress.qps));
  let intake: Intake = 'all';
  const host = new HostWatch({
    reads: (hear) => new EndpointReads({ pacer: limiter, client: options.client, instances: account.instances, hear }),
    others: options.others ?? ALONE,
    probeIntervalMs: options.probeIntervalMs ?? PROBE_INTERVAL_MS,
    async haltAccount(code, message, instanceId) {
      const isNew = await limiter.halt('account', instanceId, code, message);
      if (isNew) tell({ kind: 'halted', scope: 'account', instanceId, code, message });
    },
    onIntake(next) {
      intake = next;
      lastTakenMs = performance.now();
      tune();
    },
    tell,
  });
  const process = createProcessor({
    ...options,
    host,
    locator,
    states,
    pacer: limiter,
    owns,
    random: Math.random,
    tell(event) {
      if (event.kind === 'answer') concurrency.observe(event.tookMs);
      tell(event);
    },
  });

  let inHand = 0;
  let lastTakenMs = performance.now();
  const run = async (job: BullJob, token?: string): Promise<void> => {
    inHand += 1;
    lastTakenMs = performance.now();
    try {
      await process(job, token);
    } finally {
      inHand -= 1;
    }
  };
  const open = (): Worker => {
    const made = new Worker(queueName(account.name), run, {
      connection: redis,
      prefix,
      skipVersionCheck: true,
      concurrency: concurrency.jobs,
      removeOnComplete: { count: 0 },
      ...LOCK,
    });
    made.on('error', (error) => tell({ kind: 'trouble', during: 'queue', error }));
    return made;
  };
  let worker = open();
  let reopened = false;
  // Jobs of a cancelled batch end in the processor, and while every worker is halted nobody else would end them.
  let isCancelling = false;
  function tune(): void {
    worker.concurrency = intake === 'one' ? 1 : concurrency.jobs;
    const takesNone = intake === 'none' && !isCancelling;
    if (worker.isPaused() === takesNone) return;
    void (takesNone ? worker.pause(true) : worker.resume()).catch(trouble('pausing'));
  }

  const lease = feedLease(redis, prefix, account.name);
  let halted = new Set<string | undefined>();
  const feeder = new Feeder({
    ...options,
    chunks,
    queue,
    owns,
    lowWater: Math.min(LOW_WATER_MAX, Math.ceil(account.qps * LOW_WATER_SECONDS)),
    mayGoOn: () => lease.hold(),
    mayFeed: (instanceId) => owns(instanceId) && !halted.has(instanceId) && !halted.has(undefined),
    monotonicMs: () => performance.now(),
  });

  const loops = [
    every(
      FEED_EVERY_MS,
      async () => {
        if (!(await lease.hold())) return;
        halted = new Set((await standingHalts(redis, prefix, account.name)).map(({ instanceId }) => instanceId));
        await feeder.feed();
      },
      trouble('feeding'),
    ),
    every(
      SWEEP_EVERY_MS,
      async () => {
        const jobs = await sweepFailed(queue, locator, ledger);
        if (jobs > 0) tell({ kind: 'swept', jobs });
      },
      trouble('sweeping'),
    ),
    every(
      TUNE_EVERY_MS,
      async () => {
        const isHalted = intake === 'none';
        isCancelling = isHalted && (await ledger.activeBatches()).some(({ state }) => state === 'cancelled');
        tune();
      },
      trouble('tuning'),
    ),
    every(
      LOOK_EVERY_MS,
      async () => {
        const isIdle = intake === 'all' && inHand === 0 && performance.now() - lastTakenMs > SILENT_AFTER_MS;
        if (!isIdle || (await queue.backlog()).ready === 0) return;
        tell({ kind: 'silent', again: reopened });
        reopened = true;
        lastTakenMs = performance.now();
        await worker.close(true);
        worker = open();
      },
      trouble('looking'),
    ),
  ];

  return {
    get inHand() {
      return inHand;
    },
    get hostHalts() {
      return host.halts;
    },
    get provedMs() {
      return host.provedMs;
    },
    async close(deadlineMs) {
      const cut = setTimeout(() => options.client.close(), deadlineMs);
      host.close();
      await withinOrTell(deadlineMs + GIVE_BACK_MS, async () => {
        await Promise.all(loops.map((loop) => loop.stop()));
        await lease.release().catch(trouble('closing'));
        await worker.pause(true);
        // Those that wait for a slot are given back; those on the wire may end.
        await limiter.close();
        await worker.close();
        // What the last answers tell of halts has been noted.
        paceRedis.disconnect();
        await queue.close();
      });
      clearTimeout(cut);
      paceRedis.disconnect();
      options.client.close();
    },
  };

  /** Every step may wait for Redis, and for as long as that is away. What is in hand then is taken up when its locks have run out. */
  async function withinOrTell(ms: number, close: () => Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        trouble('closing')(new Error(`Redis does not answer: jobs in hand (${inHand}) are left to other workers`));
        resolve();
      }, ms);
    });
    await Promise.race([close(), late]).finally(() => clearTimeout(timer));
  }
}
