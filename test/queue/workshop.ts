import { randomBytes } from 'node:crypto';
import type { JobsOptions } from 'bullmq';
import type { Redis } from 'ioredis';
import { expect, vi } from 'vitest';
import type { Action } from '../../src/core/action.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import { pendingOf } from '../../src/core/batch.ts';
import type { Batch, Priority } from '../../src/ledger/batch-record.ts';
import type { DeadLetterOf } from '../../src/ledger/dead-letters.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { Plan, type PlanDetails } from '../../src/ledger/plan.ts';
import { reportRows, type ReportRow } from '../../src/ledger/report.ts';
import { createMqttClient, type MqttClient } from '../../src/mqtt/client.ts';
import {
  startAccountWorker,
  type AccountWorker,
  type AccountWorkerOptions,
  type WorkerEvent,
} from '../../src/queue/worker/account-worker.ts';
import { JOB_NAME } from '../../src/queue/contract.ts';
import { AccountQueues, type Backlog } from '../../src/queue/queues.ts';
import { connect } from '../../src/runtime/redis/connection.ts';
import type { Fault } from '../../src/sandbox/fault-plan.ts';
import { startSandbox, type Sandbox, type SandboxOptions } from '../../src/sandbox/sandbox.ts';
import { testRedis, type TestKeys } from '../support/redis.ts';

export const ACCOUNT = 'fleet';
export const INSTANCE = 'post-cn-a';
export const OTHER_INSTANCE = 'post-cn-b';
export const KEY = { accessKeyId: 'workshop-key', accessKeySecret: 'workshop-secret' };

/** So high that the pace plays no part. */
const QPS = 5_000;
const WITHIN_MS = 30_000;

export function certificates(count: number, instances: readonly string[] = [INSTANCE]): Certificate[] {
  return Array.from({ length: count }, (_, n) => ({
    instanceId: instances[n % instances.length] ?? '',
    caSn: 'CA01',
    deviceSn: randomBytes(8).toString('hex'),
  }));
}

/** A worker that runs, and what it told. */
export interface Running {
  readonly worker: AccountWorker;
  readonly events: WorkerEvent[];
}

/** One account's work on the real Redis and a sandbox endpoint. Every worker has connections of its own, as another process would. */
export class Workshop {
  readonly keys: TestKeys;
  readonly redis: Redis;
  readonly ledger: Ledger;
  readonly queues: AccountQueues;
  readonly sandbox: Sandbox;
  readonly #running: { readonly worker: AccountWorker; readonly redis: Redis }[] = [];

  constructor(sandbox: Sandbox, keys: TestKeys) {
    this.sandbox = sandbox;
    this.keys = keys;
    this.redis = connect({ options: keys.options }, 'worker', () => undefined);
    this.ledger = new Ledger(this.redis, keys.prefix);
    this.queues = new AccountQueues(this.redis, keys.prefix, ACCOUNT);
  }

  /** @param keys - of the run's shared Redis when not given */
  static async open(behaviour: Partial<SandboxOptions> = {}, keys: TestKeys = testRedis()): Promise<Workshop> {
    const accounts = [{ ...KEY, instances: [INSTANCE, OTHER_INSTANCE] }];
    return new Workshop(await startSandbox({ accounts, registry: 'open', enforce: false, ...behaviour }), keys);
  }

  faults(...faults: Fault[]): void {
    this.sandbox.setPlan({ seed: 1, faults });
  }

  client(): MqttClient {
    return createMqttClient({
      endpoint: this.sandbox.url,
      credentials: { get: () => Promise.resolve(KEY), invalidate: () => undefined },
      callDeadlineMs: 10_000,
      maxConnections: 200,
    });
  }

  start(changes: Partial<AccountWorkerOptions> = {}): Running {
    const events: WorkerEvent[] = [];
    const redis = connect({ options: this.keys.options }, 'worker', () => undefined);
    const worker = startAccountWorker({
      redis,
      prefix: this.keys.prefix,
      ledger: new Ledger(redis, this.keys.prefix),
      account: { name: ACCOUNT, qps: QPS, instances: [INSTANCE, OTHER_INSTANCE] },
      ownerOf: () => undefined,
      egress: { id: 'here', qps: QPS },
      lateMs: 200,
      policy: { attempts: 4, notFound: 'already-gone', baseMs: 1, capMs: 5 },
      breaker: { maxDeadShare: 1, minSample: 100 },
      client: this.client(),
      refreshCredentials: () => undefined,
      tell: (event) => events.push(event),
      ...changes,
    });
    this.#running.push({ worker, redis });
    return { worker, events };
  }

  async submit(
    items: readonly Certificate[],
    priority: Priority = 'bulk',
    action: Action = 'delete',
    retire: PlanDetails['retire'] = {},
  ): Promise<string> {
    const plan = new Plan(this.ledger, { priority, action, retire }, Date.now());
    for (const item of items) await plan.add(item);
    const activated = await plan.activate();
    if (activated.kind !== 'running') throw new Error(`the plan is ${activated.kind}`);
    return activated.batch;
  }

  /** Adds a job as another producer would. */
  async addJob(data: unknown, options: JobsOptions = {}): Promise<string> {
    const job = await this.queues.direct.add(JOB_NAME, data, { removeOnComplete: true, ...options });
    return job.id ?? '';
  }

  async until(batch: string, condition: (batch: Batch) => boolean): Promise<Batch> {
    return vi.waitFor(
      async () => {
        const found = await this.ledger.batches.find(batch);
        if (found === undefined || !condition(found)) throw new Error(`not yet: ${JSON.stringify(found)}`);
        return found;
      },
      { timeout: WITHIN_MS, interval: 20 },
    );
  }

  settled(batch: string, accepted = 0): Promise<Batch> {
    return this.until(batch, ({ counts }) => counts.accepted >= accepted && pendingOf(counts) === 0);
  }

  async rows(batch: string): Promise<ReportRow[]> {
    const rows: ReportRow[] = [];
    for await (const row of reportRows(this.ledger, batch)) rows.push(row);
    return rows.toSorted((a, b) => a.ordinal - b.ordinal);
  }

  async letters(batch: string): Promise<DeadLetterOf[]> {
    const letters: DeadLetterOf[] = [];
    for await (const letter of this.ledger.deadLetters.list({ batch })) letters.push(letter);
    return letters;
  }

  /** Closes every worker. */
  async stop(): Promise<void> {
    for (const { worker, redis } of this.#running.splice(0)) {
      await worker.close(1_000);
      redis.disconnect();
    }
  }

  async close(): Promise<void> {
    await this.stop();
    await this.queues.close();
    await this.sandbox.close();
    this.redis.disconnect();
    await this.keys.cleanup();
  }
}

/** Has the whole batch fed at once, as after an operator's look. */
export async function withoutRamp(shop: Pick<Workshop, 'ledger'>, batch: string): Promise<string> {
  for (const event of ['pause', 'resume'] as const) await shop.ledger.batches.change(batch, event);
  return batch;
}

const EMPTY: Backlog = { blocks: { urgent: 0, bulk: 0 }, direct: 0, delayed: 0, active: 0, failed: 0 };

/** Waits until no job is left in the queues, and no item waits: a job outlives its items' end by a moment. */
export async function expectEmptied(shop: Workshop): Promise<void> {
  const instances = [INSTANCE, OTHER_INSTANCE];
  await vi.waitFor(
    async () => {
      expect(await shop.queues.backlog()).toEqual(EMPTY);
      expect(await shop.ledger.waiting.counts(instances)).toEqual([0, 0]);
    },
    { timeout: WITHIN_MS, interval: 20 },
  );
}

/** A batch that is done: each item has one outcome, what counts as revoked is gone, and nothing is left in the queue. */
export async function expectAccounted(
  shop: Workshop,
  batch: string,
  items: readonly Certificate[],
): Promise<ReportRow[]> {
  await shop.settled(batch, items.length);
  const rows = await shop.rows(batch);
  expect(rows.map(({ ordinal }) => ordinal)).toEqual([...items.keys()]);
  expect(rows.map(({ instanceId, caSn, deviceSn }) => ({ instanceId, caSn, deviceSn }))).toEqual(items);
  const revoked = rows.filter(({ outcome }) => outcome === 'revoked');
  expect(revoked.filter((row) => shop.sandbox.has(row))).toEqual([]);
  await expectEmptied(shop);
  return rows;
}
