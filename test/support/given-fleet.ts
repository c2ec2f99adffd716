import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ClientRequest } from 'node:http';
import type { Redis } from 'ioredis';
import { expect, vi } from 'vitest';
import type { Certificate } from '../../src/core/certificate.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import type { Activated } from '../../src/ledger/activation.ts';
import { Plan } from '../../src/ledger/plan.ts';
import { reportRows, type ReportRow } from '../../src/ledger/report.ts';
import { createMqttClient } from '../../src/mqtt/client.ts';
import { startAccountWorker, type AccountWorker } from '../../src/queue/worker/account-worker.ts';
import { KEY_PREFIX } from '../../src/queue/contract.ts';
import { batchStatus, type BatchDetail } from '../../src/app/overview.ts';
import { loadConfig } from '../../src/runtime/config/load-config.ts';
import { redisPlaceOf } from '../../src/runtime/config/redis-place.ts';
import { connect, type RedisRole } from '../../src/runtime/redis/connection.ts';
import { openRedis, type OpenRedis } from '../../src/runtime/redis/open-redis.ts';
import { generateCertificates } from '../../src/sandbox/generate.ts';
import type { Journal, JournaledCall } from '../../src/sandbox/journal.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import type { PaceRecord } from './pace-oracle.ts';

const ACCOUNT = { accessKeyId: 'given-key', accessKeySecret: 'given-secret', instances: ['post-cn-given'] };
const [INSTANCE = ''] = ACCOUNT.instances;

/** The same certificates each time; another seed brings others. */
export function certificates(count: number, seed = 1): Certificate[] {
  return [...generateCertificates(count, { seed, instanceId: INSTANCE, caSn: 'CA01' })];
}

/** One account's work on a Redis that the environment gives, from the configuration on. */
export class GivenFleet {
  readonly open: OpenRedis;
  readonly sandbox: Sandbox;
  /** A producer's connection. */
  readonly redis: Redis;
  readonly ledger: Ledger;
  readonly #sendsMs: number[] = [];
  readonly #calls: JournaledCall[];
  readonly #clients: Redis[] = [];
  #worker: AccountWorker | undefined;
  #qps = 0;

  private constructor(open: OpenRedis, sandbox: Sandbox, calls: JournaledCall[]) {
    this.open = open;
    this.sandbox = sandbox;
    this.#calls = calls;
    this.redis = this.connect('producer');
    this.ledger = new Ledger(this.redis, KEY_PREFIX);
    subscribe('http.client.request.start', this.#onSend);
  }

  static async open(environment: Record<string, string>): Promise<GivenFleet> {
    const config = await loadConfig({ environment });
    const open = await openRedis(redisPlaceOf(config, environment), () => undefined);
    const calls: JournaledCall[] = [];
    const journal: Journal = (call) => void calls.push(call);
    const sandbox = await startSandbox({ accounts: [ACCOUNT], registry: 'open', enforce: false, journal });
    return new GivenFleet(open, sandbox, calls);
  }

  connect(role: RedisRole): Redis {
    const client = connect(this.open, role, () => undefined);
    this.#clients.push(client);
    return client;
  }

  startWorker(qps: number): void {
    this.#qps = qps;
    const redis = this.connect('worker');
    this.#worker = startAccountWorker({
      redis,
      prefix: KEY_PREFIX,
      ledger: new Ledger(redis, KEY_PREFIX),
      account: { name: 'given', qps, instances: [INSTANCE] },
      ownerOf: () => undefined,
      egress: { id: 'here', qps },
      // A busy machine needs time.
      lateMs: 100,
      policy: { attempts: 4, notFound: 'already-gone', baseMs: 10, capMs: 50 },
      breaker: { maxDeadShare: 1, minSample: 100 },
      client: createMqttClient({
        endpoint: this.sandbox.url,
        credentials: { get: () => Promise.resolve(ACCOUNT), invalidate: () => undefined },
        callDeadlineMs: 5_000,
        maxConnections: 200,
      }),
      refreshCredentials: () => undefined,
      tell: () => undefined,
    });
  }

  async activate(items: readonly Certificate[]): Promise<Activated> {
    const plan = new Plan(this.ledger, { priority: 'bulk' }, Date.now());
    for (const item of items) await plan.add(item);
    return plan.activate();
  }

  /** @returns the batch */
  async submit(items: readonly Certificate[]): Promise<string> {
    const activated = await this.activate(items);
    if (activated.kind !== 'running') throw new Error(`the plan is ${activated.kind}`);
    return activated.batch;
  }

  /** Looks at the batch until the condition holds; Redis may be away meanwhile. */
  until(batch: string, condition: (batch: BatchDetail) => boolean, withinMs = 45_000): Promise<BatchDetail> {
    return vi.waitFor(
      async () => {
        const detail = await batchStatus(this.ledger, batch);
        if (detail === undefined || !condition(detail)) throw new Error(`not yet: ${JSON.stringify(detail)}`);
        return detail;
      },
      { timeout: withinMs, interval: 50 },
    );
  }

  /** The worker is in this process, and calls from where it is. */
  pace(): PaceRecord {
    return {
      caps: { accountQps: this.#qps, egressQps: this.#qps },
      senders: [{ egress: '127.0.0.1', sendsMs: this.#sendsMs }],
      unnoted: 0,
      arrivals: this.#calls,
      witnessLagMs: this.sandbox.seen().worstLagMs,
    };
  }

  /** By ordinal. */
  async report(batch: string): Promise<ReportRow[]> {
    const rows: ReportRow[] = [];
    for await (const row of reportRows(this.ledger, batch)) rows.push(row);
    return rows.toSorted((a, b) => a.ordinal - b.ordinal);
  }

  async close(): Promise<void> {
    unsubscribe('http.client.request.start', this.#onSend);
    await this.#worker?.close(1_000);
    for (const client of this.#clients) client.disconnect();
    await this.open.close();
    await this.sandbox.close();
  }

  readonly #onSend = (message: unknown): void => {
    const { request } = message as { readonly request: ClientRequest };
    if (request.getHeader('host') === new URL(this.sandbox.url).host) this.#sendsMs.push(performance.now());
  };
}

/** Each item of a settled batch has one outcome, its own, and what counts as gone the cloud has deleted. */
export async function expectAccounted(
  fleet: GivenFleet,
  detail: BatchDetail,
  items: readonly Certificate[],
): Promise<void> {
  expect(detail).toMatchObject({ accepted: items.length, pending: 0 });
  const rows = await fleet.report(detail.batch);
  expect(rows.map(({ instanceId, caSn, deviceSn }) => ({ instanceId, caSn, deviceSn }))).toEqual(items);
  const counted = (outcome: ReportRow['outcome']): number => rows.filter((row) => row.outcome === outcome).length;
  expect(detail).toMatchObject({
    revoked: counted('revoked'),
    alreadyGone: counted('already-gone'),
    dead: counted('dead'),
  });
  const gone = rows.filter(({ outcome }) => outcome === 'revoked' || outcome === 'already-gone');
  expect(gone.filter((row) => fleet.sandbox.has(row))).toEqual([]);
}
