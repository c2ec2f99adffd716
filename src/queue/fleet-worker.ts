import type { Redis } from 'ioredis';
import { Ledger } from '../ledger/ledger.ts';
import { readHalts } from '../limiter/halt-store.ts';
import { createMqttClient } from '../mqtt/client.ts';
import { credentialsFromChain, credentialsFromEnvironment, type CredentialSource } from '../mqtt/credentials.ts';
import { accountOf, type AccountConfig, type Config, type Environment } from '../runtime/config/config.ts';
import type { Logger } from '../runtime/logger.ts';
import { Metrics } from '../runtime/metrics.ts';
import { startAccountWorker, type AccountWorker, type WorkerEvent } from './account-worker.ts';
import { MAX_CONCURRENCY } from './concurrency.ts';
import { KEY_PREFIX } from './contract.ts';
import { logWorkerEvent } from './worker-log.ts';

export interface FleetWorkerOptions {
  readonly config: Config;
  /** A connection of the `worker` role; it stays the caller's. */
  readonly redis: Redis;
  readonly environment: Environment;
  readonly log: Logger;
}

/** One process' work on every account of the configuration. */
export interface FleetWorker {
  /** Jobs in hand, over all accounts. */
  readonly inHand: number;
  /** False when a queue stayed silent even after its worker was made anew: the process should end and be started again. */
  readonly isLive: boolean;
  notReadyBecause(): Promise<string | undefined>;
  metrics(): string;
  /** Stops taking jobs, lets calls under way end until the deadline, and gives back the rest. */
  close(deadlineMs: number): Promise<void>;
}

/** Starts the work; it goes on until `close`. */
export function startFleetWorker({ config, redis, environment, log }: FleetWorkerOptions): FleetWorker {
  const ledger = new Ledger(redis, KEY_PREFIX);
  const metrics = workerMetrics();
  let isLive = true;
  const workers: AccountWorker[] = config.accounts.map((account) => {
    const credentials = credentialsOf(account, environment);
    return startAccountWorker({
      redis,
      prefix: KEY_PREFIX,
      ledger,
      account,
      ownerOf: (instanceId) => accountOf(config, instanceId)?.name,
      egress: config.egress,
      lateMs: config.limiter.lateMs,
      policy: { ...config.retry, notFound: config.notFound },
      caution: config.caution,
      client: createMqttClient({
        endpoint: account.endpoint,
        credentials,
        callDeadlineMs: config.callDeadlineMs,
        maxConnections: MAX_CONCURRENCY,
        ...(config.egress.localAddress !== undefined && { localAddress: config.egress.localAddress }),
      }),
      refreshCredentials: () => credentials.invalidate(),
      tell(event) {
        if (event.kind === 'silent' && event.again) isLive = false;
        countEvent(metrics, account.name, event);
        logWorkerEvent(log, account.name, event);
      },
    });
  });
  return {
    get inHand() {
      return workers.reduce((sum, worker) => sum + worker.inHand, 0);
    },
    get isLive() {
      return isLive;
    },
    async notReadyBecause() {
      if (redis.status !== 'ready') return 'Redis is not connected';
      const halts = await readHalts(redis, KEY_PREFIX);
      const ours = halts.filter(
        (halt) => halt.instanceId === undefined && config.accounts.some(({ name }) => name === halt.account),
      );
      // One account's trouble never blocks another's: ready as long as one can work.
      if (ours.length < config.accounts.length) return undefined;
      return ours.map((halt) => `account ${halt.account} is halted: ${halt.code}`).join('; ');
    },
    metrics: () => metrics.text(),
    async close(deadlineMs) {
      await Promise.all(workers.map((worker) => worker.close(deadlineMs)));
    },
  };
}

/** Where an account's keys come from: the named variables, or the default chain. */
export function credentialsOf(account: AccountConfig, environment: Environment): CredentialSource {
  if (account.credentials === undefined) return credentialsFromChain();
  const { accessKeyIdEnv, accessKeySecretEnv, securityTokenEnv } = account.credentials;
  return credentialsFromEnvironment(
    {
      accessKeyId: accessKeyIdEnv,
      accessKeySecret: accessKeySecretEnv,
      ...(securityTokenEnv !== undefined && { securityToken: securityTokenEnv }),
    },
    environment,
  );
}

function workerMetrics(): Metrics {
  const metrics = new Metrics();
  metrics.describe('certsweep_settled_total', 'Items settled by this process, by outcome');
  metrics.describe('certsweep_calls_total', 'Calls answered, by verdict');
  metrics.describe('certsweep_halts_total', 'Halts marked by this process');
  metrics.describe('certsweep_slots_unused_total', 'Slots lost to stalls, late replies of Redis, or its absence');
  return metrics;
}

function countEvent(metrics: Metrics, account: string, event: WorkerEvent): void {
  if (event.kind === 'settled' && event.how !== 'unknown')
    metrics.add('certsweep_settled_total', { account, outcome: event.settlement.outcome });
  if (event.kind === 'answer') metrics.add('certsweep_calls_total', { account, verdict: event.verdict.kind });
  if (event.kind === 'halted') metrics.add('certsweep_halts_total', { account, scope: event.scope });
  if (event.kind === 'limiter')
    metrics.add('certsweep_slots_unused_total', { account, cause: event.notice.kind }, event.notice.count);
}
