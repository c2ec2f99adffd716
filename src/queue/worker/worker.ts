import { hostname } from 'node:os';
import type { Redis } from 'ioredis';
import { AuditFile } from '../../audit/own-file.ts';
import { recordPace } from '../../audit/pace.ts';
import { NewerLayout } from '../../ledger/layout.ts';
import { Ledger } from '../../ledger/ledger.ts';
import { readHalts } from '../../limiter/halts/halt-store.ts';
import { describeStop, readStop } from '../../limiter/halts/stop.ts';
import { noted } from '../../limiter/noted.ts';
import { createMqttClient } from '../../mqtt/client.ts';
import { accountOf, type AccountConfig, type Config, type Environment } from '../../runtime/config/config.ts';
import { jobKeyOf } from '../../runtime/config/job-key.ts';
import type { EventLog } from '../../runtime/logger.ts';
import { Metrics, processMetrics } from '../../runtime/metrics.ts';
import { describeRedisError } from '../../runtime/redis/describe-error.ts';
import { startAccountWorker, type AccountWorker } from './account-worker.ts';
import { MAX_CONCURRENCY } from './concurrency.ts';
import { credentialsOf } from './credentials.ts';
import { KEY_PREFIX } from '../contract.ts';
import { every } from './repeat.ts';
import { UNREACHABLE, type HostHalt } from '../process/host-watch.ts';
import { followAudit } from './audit-log.ts';
import { Tally, type AccountTally } from './tallies.ts';
import { logWorkerEvent } from './worker-log.ts';
import { describeWorker } from './worker-metrics.ts';
import { WorkerConflict, WorkerRegistry } from './worker-registry.ts';

export interface WorkerOptions {
  readonly config: Config;
  /** A connection of the `worker` role; it stays the caller's. */
  readonly redis: Redis;
  readonly environment: Environment;
  readonly log: EventLog;
}

export type { AccountTally } from './tallies.ts';

/** One process' work on every account of the configuration. */
export interface Worker {
  /** Jobs in hand, over all accounts. */
  readonly inHand: number;
  /** One for each account, in the configuration's order. */
  readonly tallies: readonly AccountTally[];
  /** False when a queue stayed silent even after its worker was recreated: the process should end and be restarted. */
  readonly isLive: boolean;
  /** Why this process may not continue beside the others; undefined while it may. */
  readonly mustLeaveBecause: string | undefined;
  notReadyBecause(): Promise<string | undefined>;
  /** Prometheus' text form, of this process alone. */
  metrics(): Promise<string>;
  /** Stops taking jobs, lets calls under way end until the deadline, and gives back the rest. */
  close(deadlineMs: number): Promise<void>;
}

const ANNOUNCE_EVERY_MS = 1_000;

/**
 * Starts the work; it runs until `close`.
 * @throws WorkerConflict, NewerLayout, AuditFileUnavailable: then nothing was started; or the client's error
 */
export async function startWorker({ config, redis, environment, log }: WorkerOptions): Promise<Worker> {
  const { pid } = process;
  const registry = new WorkerRegistry({ redis, prefix: KEY_PREFIX, host: hostname(), pid, accounts: config.accounts });
  const ledger = new Ledger(redis, KEY_PREFIX);
  const { file } = config.audit;
  const auditFile = file === undefined ? undefined : new AuditFile(file, redis, ledger.keys.audit);
  await auditFile?.open();
  await registry.announce();
  let mustLeaveBecause: string | undefined;
  for (const { name, qps } of config.accounts) {
    await recordPace(redis, ledger.keys.audit, { account: name, qps, egress: config.egress });
  }
  await ledger.former.takeOverRetried();
  const jobKey = jobKeyOf(environment);
  let isLive = true;
  const workers: AccountWorker[] = [];
  const metered = config.accounts.map(({ name }, at) => ({
    account: name,
    tally: new Tally(),
    worker: () => workers[at],
  }));
  const metrics = new Metrics();
  const meters = describeWorker(metrics, metered);
  const start = (account: AccountConfig): AccountWorker => {
    const credentials = credentialsOf(account, environment);
    return startAccountWorker({
      redis,
      prefix: KEY_PREFIX,
      ledger,
      account,
      ownerOf: (instanceId) => accountOf(config, instanceId)?.name,
      others: registry.othersOf(account.name),
      egress: config.egress,
      lateMs: config.limiter.lateMs,
      policy: { ...config.retry, notFound: config.notFound },
      breaker: config.breaker,
      direct: { policy: account.direct, ...(jobKey !== undefined && { jobKey }) },
      client: createMqttClient({
        endpoint: account.endpoint,
        credentials,
        callDeadlineMs: config.callDeadlineMs,
        maxConnections: MAX_CONCURRENCY,
        ...(config.egress.localAddress !== undefined && { localAddress: config.egress.localAddress }),
      }),
      refreshCredentials: () => credentials.invalidate(),
      onRoundTrip: (ms) => meters.get(account.name)?.roundTrip(ms),
      tell(event) {
        if (event.kind === 'silent' && event.again) isLive = false;
        meters.get(account.name)?.hear(event);
        logWorkerEvent(
          log,
          account.name,
          event.kind === 'host-halted' ? { ...event, ...placed(event, account) } : event,
        );
        if (event.kind === 'host-halted' || event.kind === 'host-lifted') void noted(announce(), untold);
      },
    });
  };
  for (const account of config.accounts) workers.push(start(account));
  const byAccount = config.accounts.map((account, at) => ({ account, worker: workers[at] }));
  const announce = async (): Promise<void> => {
    if (redis.status !== 'ready') return;
    const halts = byAccount.flatMap(({ account, worker }) =>
      (worker?.hostHalts ?? []).map((halt) => ({ ...halt, ...placed(halt, account), account: account.name })),
    );
    const proved = byAccount.flatMap(({ account, worker }) =>
      worker?.provedMs === undefined ? [] : [[account.name, worker.provedMs] as const],
    );
    try {
      await registry.announce({ halts, proved: Object.fromEntries(proved) });
    } catch (error) {
      if (!(error instanceof WorkerConflict || error instanceof NewerLayout)) throw error;
      mustLeaveBecause = error.message;
    }
  };
  const untold = (error: unknown): void =>
    log.warn({ event: 'trouble', during: 'announcing', message: describeRedisError(error) });
  const announcing = every(ANNOUNCE_EVERY_MS, () => noted(announce(), untold), untold);
  const unlogged = (error: unknown): void =>
    log.error({ event: 'trouble', during: 'following the audit record', message: describeRedisError(error) });
  const writeOwn = async (): Promise<void> => {
    if (redis.status === 'ready') await noted(auditFile?.write() ?? Promise.resolve(), unlogged);
  };
  const parts = { redis, prefix: KEY_PREFIX, keys: ledger.keys.audit, record: log.record, alongside: writeOwn };
  const following = followAudit(parts, unlogged);
  return {
    get inHand() {
      return workers.reduce((sum, worker) => sum + worker.inHand, 0);
    },
    get tallies() {
      return metered.map(({ account, tally, worker }) => tally.of(account, worker()?.inHand ?? 0));
    },
    get isLive() {
      return isLive;
    },
    get mustLeaveBecause() {
      return mustLeaveBecause;
    },
    async notReadyBecause() {
      if (redis.status !== 'ready') return 'Redis is not connected';
      const [halts, stop] = await Promise.all([readHalts(redis, KEY_PREFIX), readStop(redis, KEY_PREFIX)]);
      if (stop !== undefined) return describeStop(stop);
      const reasons = byAccount.map(({ account: { name }, worker }) => {
        const halt = halts.find(({ account, instanceId }) => account === name && instanceId === undefined);
        const code = halt?.code ?? worker?.hostHalts[0]?.code;
        return code === undefined ? undefined : `account ${name} is halted: ${code}`;
      });
      // One account's trouble never blocks another's: ready as long as one can work.
      return reasons.includes(undefined) ? undefined : reasons.join('; ');
    },
    metrics: async () => `${await metrics.text()}\n${await processMetrics()}`,
    async close(deadlineMs) {
      await Promise.all(workers.map((worker) => worker.close(deadlineMs)));
      // Until the last call has ended, another name for the account would be a second clock.
      await announcing.stop();
      await noted(following.stop(), unlogged);
      if (redis.status === 'ready') await noted(registry.leave(), untold);
    },
  };
}

/** An endpoint that is out is named: where a configuration has many, or a wrong one, that is half the remedy. */
function placed(
  { code, message }: Pick<HostHalt, 'code' | 'message'>,
  { endpoint }: AccountConfig,
): { message: string } {
  return { message: code === UNREACHABLE ? `${new URL(endpoint).host} does not answer: ${message}` : message };
}
