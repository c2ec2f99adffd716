import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { vi } from 'vitest';
import type { Certificate } from '../../src/core/certificate.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import type { ReportRow } from '../../src/ledger/report.ts';
import { KEY_PREFIX } from '../../src/queue/contract.ts';
import { batchStatus, type BatchDetail } from '../../src/app/overview.ts';
import { connect } from '../../src/runtime/redis/connection.ts';
import type { FaultPlan } from '../../src/sandbox/fault-plan.ts';
import type { JournaledCall } from '../../src/sandbox/journal.ts';
import type { SandboxReport } from '../../src/sandbox/observations.ts';
import type { RunningCommand } from './command.ts';
import { manifestOf } from './fleet.ts';
import { ACCOUNT_KEY, INSTANCE, KEY_ENV, openInstallation, type Installation } from './installation.ts';
import type { Caps, PaceRecord } from './pace-oracle.ts';
import { startTestRedis, type TestRedis } from './redis.ts';
import { startRedisProxy, type RedisProxy } from './redis-proxy.ts';

/** So high that two workers on two cores are near them. */
const FAST: Caps = { accountQps: 400, egressQps: 260 };
/** Two source addresses as the witness sees them; workers are bound to one. */
export const EGRESSES = ['127.0.0.1', '127.0.0.2'] as const;

export interface RigWorker extends RunningCommand {
  readonly egress: string;
  /** When each of its calls left, on the host's monotonic clock. */
  sends(): Promise<number[]>;
}

/**
 * What fault tests work on: the product's own commands in processes of their own, a Redis that they reach through a proxy, and the witness. The
 * witness is the endpoint, in its own process, and writes a line for each call that arrives.
 */
export interface Rig extends Installation {
  readonly server: TestRedis;
  readonly proxy: RedisProxy;
  /** Past the proxy. */
  readonly direct: Redis;
  readonly workers: readonly RigWorker[];
  /** What each command but the workers has written, with its first word. */
  readonly written: readonly (readonly [command: string, text: string])[];
  startWorker(options?: {
    egress?: string;
    node?: readonly string[];
    env?: Record<string, string>;
    /** The account's pace, where it is not the rig's. */
    accountQps?: number;
    settings?: object;
  }): Promise<RigWorker>;
  submit(items: readonly Certificate[], ...flags: string[]): Promise<string>;
  status(batch: string): Promise<BatchDetail | undefined>;
  until(batch: string, condition: (batch: BatchDetail) => boolean, withinMs?: number): Promise<BatchDetail>;
  report(batch: string): Promise<ReportRow[]>;
  /** Everything the witness heard so far. */
  calls(): Promise<JournaledCall[]>;
  /** Of all workers so far. */
  pace(): Promise<PaceRecord>;
  control(path: string, body: object): Promise<void>;
}

const LATENCY_MS = '20';
const LOOK_EVERY_MS = 50;
const SETTLED_WITHIN_MS = 60_000;
const NODE_SENDS = new URL('send-journal.mjs', import.meta.url).href;

export interface RigOptions {
  /** Faults of the endpoint, as in a plan file. */
  readonly plan?: FaultPlan | undefined;
  readonly caps?: Caps | undefined;
  /** Instances by account; each account has its own key and the whole pace of an account. */
  readonly accounts?: Readonly<Record<string, readonly string[]>>;
}

export async function openRig({
  plan = { seed: 1, faults: [] },
  caps = FAST,
  accounts = { fleet: [INSTANCE] },
}: RigOptions = {}): Promise<Rig> {
  const server = await startTestRedis();
  const { path: socket = '', password = '' } = server.options;
  const proxy = await startRedisProxy(socket);
  const direct = connect(server, 'worker', () => undefined);
  const url = `redis://:${password}@127.0.0.1:${proxy.port}`;
  const settings = (endpoint: string, changes: object = {}, accountQps = caps.accountQps): object => ({
    redis: { url },
    egress: { qps: caps.egressQps },
    retry: { baseMs: 50, capMs: 500 },
    accounts: Object.fromEntries(
      Object.entries(accounts).map(([name, instances], n) => {
        const credentials = { ...KEY_ENV, accessKeyIdEnv: `${KEY_ENV.accessKeyIdEnv}_${n}` };
        return [name, { endpoint, instances, limits: { qps: accountQps }, credentials }];
      }),
    ),
    ...changes,
  });
  const keyIds = Object.keys(accounts).map((name, n) => [
    `${KEY_ENV.accessKeyIdEnv}_${n}`,
    `${ACCOUNT_KEY.accessKeyId}-${name}`,
  ]);
  const installation = await openInstallation(settings('http://127.0.0.1:1'), Object.fromEntries(keyIds));
  const journal = join(installation.folder, 'journal.ndjson');
  const planFile = await installation.file('plan.json', JSON.stringify(plan));
  const witness = installation.start([
    'sandbox',
    '--port',
    '0',
    '--host',
    '0.0.0.0',
    '--no-enforce',
    '--latency',
    LATENCY_MS,
    '--plan',
    planFile,
    '--journal',
    journal,
  ]);
  await witness.says('listens on');
  const endpoint = `http://127.0.0.1:${/:(\d+)/.exec(witness.output())?.[1] ?? ''}`;
  await installation.configure(settings(endpoint));
  const workers: RigWorker[] = [];
  const written: [string, string][] = [];
  const ledger = new Ledger(direct, KEY_PREFIX);
  let manifests = 0;
  let started = 0;
  let killed = 0;

  const rig: Rig = {
    ...installation,
    server,
    proxy,
    direct,
    workers,
    written,
    async run(args, options) {
      const ended = await installation.run(args, options);
      written.push([args[0] ?? '', ended.stdout + ended.stderr]);
      return ended;
    },
    async startWorker({ egress = EGRESSES[0], node = [], env = {}, accountQps, settings: changes = {} } = {}) {
      started += 1;
      const number = started;
      const config = await installation.configure(
        settings(
          endpoint,
          { egress: { id: egress, qps: caps.egressQps, localAddress: egress }, ...changes },
          accountQps,
        ),
        `worker-${number}.yaml`,
      );
      const sends = join(installation.folder, `sends-${number}`);
      const command = installation.start(['worker', '--config', config], {
        node: ['--import', NODE_SENDS, ...node.flatMap((file) => ['--import', new URL(file, import.meta.url).href])],
        env: { SENDS_FILE: sends, ...env },
      });
      const worker: RigWorker = { ...command, egress, sends: () => readNumbers(sends) };
      workers.push(worker);
      void command.ended.then(({ signal }) => (killed += signal === 'SIGKILL' ? 1 : 0));
      await worker.says('"worker-started"');
      return worker;
    },
    async submit(items, ...flags) {
      manifests += 1;
      const manifest = await installation.file(`manifest-${manifests}.csv`, manifestOf(items));
      const ended = await rig.run(['submit', manifest, '--execute', '--yes', '--json', ...flags]);
      const { batch } = JSON.parse(ended.stdout || '{}') as { batch?: string };
      if (batch === undefined) throw new Error(`the submission was refused: ${ended.stderr}`);
      return batch;
    },
    status: (batch) => batchStatus(ledger, batch),
    until: (batch, condition, withinMs = SETTLED_WITHIN_MS) =>
      vi.waitFor(
        async () => {
          const detail = await batchStatus(ledger, batch);
          if (detail === undefined || !condition(detail)) throw new Error(`not yet: ${JSON.stringify(detail)}`);
          return detail;
        },
        { timeout: withinMs, interval: LOOK_EVERY_MS },
      ),
    async report(batch) {
      const { stdout, stderr, code } = await rig.run(['report', batch, '--format', 'ndjson']);
      if (code !== 0) throw new Error(stderr);
      return lines(stdout).map((line) => JSON.parse(line) as ReportRow);
    },
    async calls() {
      return lines(await readFile(journal, 'utf8')).map((line) => JSON.parse(line) as JournaledCall);
    },
    async pace() {
      const seen = (await (await fetch(`${endpoint}/-/seen`)).json()) as SandboxReport;
      const senders = workers.map(async (worker) => ({ egress: worker.egress, sendsMs: await worker.sends() }));
      return {
        caps,
        senders: await Promise.all(senders),
        unnoted: killed,
        arrivals: await rig.calls(),
        witnessLagMs: seen.worstLagMs,
      };
    },
    async control(path, body) {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${endpoint}/-/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
      if (!response.ok) throw new Error(await response.text());
    },
    async remove() {
      await installation.remove();
      direct.disconnect();
      await proxy.close();
      await server.stop();
    },
  };
  return rig;
}

function lines(text: string): string[] {
  // A line that is being written is not one yet.
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '');
}

async function readNumbers(path: string): Promise<number[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return lines(text).map(Number);
}
