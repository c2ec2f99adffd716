import type { Redis } from 'ioredis';
import type { BackoffPolicy } from '../../core/backoff.ts';
import type { BreakerPolicy } from '../../core/batch.ts';
import type { DecidePolicy } from '../../core/decide.ts';
import type { DirectRules } from '../../core/direct-job.ts';
import { CALL_NOTES, notesRequest, readVerdict, type CallToNote, type CallVerdict } from '../../ledger/call-notes.ts';
import { ChunkReader } from '../../ledger/chunk-reader.ts';
import { Ledger } from '../../ledger/ledger.ts';
import type { CallNotes, LimiterNotice, SlotTally, Stop } from '../../limiter/contract.ts';
import { PROBE_INTERVAL_MS } from '../../limiter/halts/account-halts.ts';
import { openLimiter } from '../../limiter/limiter.ts';
import { BatchStateCache } from '../batch-state-cache.ts';
import type { FeederEvent } from '../feed/feeder.ts';
import { DeletionGate, type CaClient } from '../process/deletion-gate.ts';
import { EndpointReads, type ReadingClient } from '../process/endpoint-reads.ts';
import { HostWatch, type HostEvent, type HostHalt, type OthersView } from '../process/host-watch.ts';
import type { RevocationClient } from '../process/item-calls.ts';
import { ItemReports, type ReportEvent } from '../process/item-reports.ts';
import { ItemRunner } from '../process/item-runner.ts';
import { createProcessor, type ProcessorEvent } from '../process/processor.ts';
import { JobResolver } from '../process/resolve-job.ts';
import { AccountQueues } from '../queues.ts';
import { ConcurrencyTarget } from './concurrency.ts';
import { feedRepeatedly } from './feed-loop.ts';
import { Intake } from './intake.ts';
import { rescueFailed } from './job-rescuer.ts';
import { JobRunner, type RunnerEvent } from './job-runner.ts';
import { every } from './repeat.ts';
import { CLAIM_MS, WaitingItems } from './waiting-items.ts';

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
  /** What is accepted without a manifest: everything, at the default pace, when not given. */
  readonly direct?: DirectRules;
  readonly client: RevocationClient & ReadingClient & CaClient & { close(): void };
  readonly refreshCredentials: () => void;
  /** From a command to Redis' answer, milliseconds. */
  readonly onRoundTrip?: (ms: number) => void;
  readonly tell: (event: WorkerEvent) => void;
}

export type WorkerEvent =
  | ProcessorEvent
  | ReportEvent
  | RunnerEvent
  | FeederEvent
  | HostEvent
  | { readonly kind: 'limiter'; readonly notice: LimiterNotice }
  /** Every call of every account is stopped, or, `started`, no longer. */
  | { readonly kind: 'stopped'; readonly stop: Stop }
  | { readonly kind: 'started' }
  | { readonly kind: 'swept'; readonly jobs: number }
  /** Jobs are ready and the worker takes none: it was started over; `again` when even that did not help. */
  | { readonly kind: 'silent'; readonly again: boolean };

export interface AccountWorker {
  /** Items in hand. */
  readonly inHand: number;
  /** Why this process alone takes no jobs. */
  readonly hostHalts: readonly HostHalt[];
  /** When the last call left that proved access to the account, of `performance.now()`. */
  readonly provedMs: number | undefined;
  readonly slots: SlotTally;
  /** Since the account was last fed by this process, milliseconds; undefined while another one feeds it. */
  readonly feederLagMs: number | undefined;
  /** Stops taking jobs, lets calls under way end until the deadline, and gives back the rest; at most a second later, also where Redis is away. */
  close(deadlineMs: number): Promise<void>;
}

/** For what was in hand at the deadline to be given back. */
const GIVE_BACK_MS = 1_000;
const SWEEP_EVERY_MS = 5_000;
const TUNE_EVERY_MS = 1_000;
const ALONE: OthersView = { isAlone: true, provenSince: () => false };

/** Runs one account's queues in this process: feeds them, works on them, watches them. */
export function startAccountWorker(options: AccountWorkerOptions): AccountWorker {
  const { redis, prefix, ledger, account, tell } = options;
  const trouble = (during: string) => (error: Error) => tell({ kind: 'trouble', during, error });
  const owned = new Set(account.instances);
  const owns = (instanceId: string): boolean => owned.has(instanceId);
  const chunks = new ChunkReader(ledger);
  const states = new BatchStateCache(ledger);
  const queues = new AccountQueues(redis, prefix, account.name);
  const resolver = new JobResolver(ledger, chunks, states, account.name, options.direct);
  // A connection of its own: a reservation that queues behind a feeding of jobs would come too late.
  const paceRedis = redis.duplicate();
  paceRedis.on('error', trouble('pacing'));
  const reports = new ItemReports({ items: new Ledger(paceRedis, prefix).items, tell });
  const limiter = openLimiter(
    {
      redis: paceRedis,
      prefix,
      account,
      egress: options.egress,
      lateMs: options.lateMs,
      ...(options.probeIntervalMs !== undefined && { probeIntervalMs: options.probeIntervalMs }),
      onSignals() {
        states.forget();
        feeding.soon();
        tuning.soon();
      },
      onStop: (stop) => tell(stop === undefined ? { kind: 'started' } : { kind: 'stopped', stop }),
      onNotice: (notice) => tell({ kind: 'limiter', notice }),
      onPulse: () => reports.flush(),
      ...(options.onRoundTrip !== undefined && { onRoundTrip: options.onRoundTrip }),
    },
    notesOf(ledger),
  );
  const concurrency = new ConcurrencyTarget(Math.min(account.qps, options.egress.qps));
  const host = new HostWatch({
    reads: (hear) => new EndpointReads({ pacer: limiter, client: options.client, instances: account.instances, hear }),
    others: options.others ?? ALONE,
    probeIntervalMs: options.probeIntervalMs ?? PROBE_INTERVAL_MS,
    async haltAccount(code, message, instanceId) {
      const isNew = await limiter.halt('account', instanceId, code, message);
      if (isNew) tell({ kind: 'halted', scope: 'account', instanceId, code, message });
    },
    onIntake: (next) => intake.follow(next),
    tell,
  });
  const items = new ItemRunner(
    createProcessor({
      ...options,
      host,
      gate: new DeletionGate({ pacer: limiter, client: options.client, states, policy: options.policy }),
      pacer: limiter,
      random: Math.random,
      tell(event) {
        if (event.kind === 'answer') concurrency.observe(event.tookMs);
        tell(event);
      },
    }),
    reports,
  );
  const runner = new JobRunner({
    ...options,
    chunks,
    states,
    resolver,
    items,
    owns,
    admits: (instanceId) => limiter.admits(instanceId),
    onBlock: (size) => concurrency.observeBlock(size),
  });
  const intake = new Intake({ ...options, queues, runner, limiter, states, concurrency });
  const waiting = new WaitingItems({
    redis,
    ledger,
    chunks,
    states,
    instances: account.instances,
    room: (instanceId) => intake.roomFor(instanceId, waiting.inHand),
    run: (item) => items.run(item),
    tell,
  });
  const feeding = feedRepeatedly({ ...options, chunks, queues, owns }, trouble('feeding'));
  const tuning = every(TUNE_EVERY_MS, () => intake.tune(), trouble('tuning'));
  const sweeping = every(
    SWEEP_EVERY_MS,
    async () => {
      const jobs = await rescueFailed({ ledger, chunks, states, queues, resolver, items });
      if (jobs > 0) tell({ kind: 'swept', jobs });
      await intake.reviveSilent();
    },
    trouble('sweeping'),
  );

  return {
    get inHand() {
      return items.inHand;
    },
    get hostHalts() {
      return host.halts;
    },
    get slots() {
      return limiter.slots;
    },
    get feederLagMs() {
      return feeding.lagMs;
    },
    get provedMs() {
      return host.provedMs;
    },
    async close(deadlineMs) {
      const cut = setTimeout(() => options.client.close(), deadlineMs);
      host.close();
      await withinOrTell(deadlineMs + GIVE_BACK_MS, async () => {
        await Promise.all([tuning.stop(), sweeping.stop(), feeding.stop()]);
        await intake.pause();
        // Those that wait for a slot are given back; those on the wire may end.
        await limiter.close();
        await Promise.all([intake.close(), waiting.close()]);
        // What the last answers say about halts has been noted.
        reports.close();
        paceRedis.disconnect();
        await queues.close();
      });
      clearTimeout(cut);
      reports.close();
      paceRedis.disconnect();
      options.client.close();
    },
  };

  /** Every step may wait for Redis, and for as long as that is away. What is in hand then is taken up when its locks have run out. */
  async function withinOrTell(ms: number, close: () => Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        trouble('closing')(
          new Error(`Redis does not answer: items in hand (${items.inHand}) are left to other workers`),
        );
        resolve();
      }, ms);
    });
    await Promise.race([close(), late]).finally(() => clearTimeout(timer));
  }
}

/** What the ledger wants known of calls before they get their slots. */
function notesOf({ keys }: Ledger): CallNotes<CallToNote, CallVerdict> {
  return {
    lua: CALL_NOTES,
    claimMs: CLAIM_MS,
    request: (calls, back) => notesRequest(keys, calls, back),
    read: readVerdict,
    noted({ run }, claimEndMs) {
      if (run.kind === 'claim') run.score = claimEndMs;
    },
  };
}
