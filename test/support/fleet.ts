import type { Redis } from 'ioredis';
import { expect, vi } from 'vitest';
import type { Certificate } from '../../src/core/certificate.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { reportRows, type ReportRow } from '../../src/ledger/report.ts';
import { KEY_PREFIX } from '../../src/queue/contract.ts';
import { batchStatus, type BatchDetail } from '../../src/app/overview.ts';
import { generateCertificates } from '../../src/sandbox/generate.ts';
import { startSandbox, type Sandbox, type SandboxOptions } from '../../src/sandbox/sandbox.ts';
import type { CommandOptions, RunningCommand } from './command.ts';
import { ACCOUNT_KEY, INSTANCE, KEY_ENV, openInstallation, type Installation } from './installation.ts';

/** An installation with its cloud: a sandbox in this process, workers and submitters in processes of their own. */
export interface Fleet extends Installation {
  readonly sandbox: Sandbox;
  /** Resolves when it works. */
  startWorker(options?: CommandOptions): Promise<RunningCommand>;
  /** Submits the certificates. @returns the batch */
  submit(rows: readonly Certificate[], ...flags: string[]): Promise<string>;
  /** Looks at the batch in Redis until the condition holds. @throws after the time, with what it saw last */
  until(batch: string, condition: (batch: BatchDetail) => boolean, withinMs?: number): Promise<BatchDetail>;
  /** Waits until every item is settled. */
  settled(batch: string, withinMs?: number): Promise<BatchDetail>;
  /** The rows that `certsweep report` prints. */
  report(batch: string): Promise<ReportRow[]>;
}

export interface FleetOptions {
  readonly sandbox?: Partial<SandboxOptions>;
  /** Over the pace and everything else that the configuration holds. */
  readonly settings?: object;
}

/** So high that the pace plays no part. */
const QPS = 5_000;
const SETTLED_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 50;

export async function openFleet({ sandbox: behaviour = {}, settings = {} }: FleetOptions = {}): Promise<Fleet> {
  const sandbox = await startSandbox({
    accounts: [{ ...ACCOUNT_KEY, instances: [INSTANCE] }],
    registry: 'open',
    limits: { accountQps: 2 * QPS, egressQps: 2 * QPS },
    ...behaviour,
  });
  const installation = await openInstallation({
    egress: { qps: QPS, raisedLimit: true },
    retry: { baseMs: 50, capMs: 200 },
    accounts: {
      fleet: {
        endpoint: sandbox.url,
        instances: [INSTANCE],
        limits: { qps: QPS, raisedLimit: true },
        credentials: KEY_ENV,
      },
    },
    ...settings,
  });
  let client: Redis | undefined;
  let manifests = 0;
  const ledgerOf = async (): Promise<Ledger> => {
    client ??= await installation.redis();
    return new Ledger(client, KEY_PREFIX);
  };
  const fleet: Fleet = {
    ...installation,
    sandbox,
    async startWorker(options) {
      const worker = installation.start(['worker'], options);
      await worker.says('"worker-started"');
      return worker;
    },
    async submit(rows, ...flags) {
      manifests += 1;
      const manifest = await installation.file(`manifest-${manifests}.csv`, manifestOf(rows));
      const ended = await installation.run(['submit', manifest, '--execute', '--yes', '--json', ...flags]);
      const { batch } = JSON.parse(ended.stdout || '{}') as { batch?: string };
      if (batch === undefined) throw new Error(`the submission was refused: ${ended.stderr}`);
      return batch;
    },
    async until(batch, condition, withinMs = SETTLED_WITHIN_MS) {
      const ledger = await ledgerOf();
      const options = { timeout: withinMs, interval: LOOK_EVERY_MS };
      return vi.waitFor(async () => {
        const detail = await batchStatus(ledger, batch);
        if (detail === undefined || !condition(detail)) throw new Error(`not yet: ${JSON.stringify(detail)}`);
        return detail;
      }, options);
    },
    settled: (batch, withinMs) =>
      fleet.until(batch, ({ pending, state }) => pending === 0 && state !== 'planned', withinMs),
    async report(batch) {
      const rows: ReportRow[] = [];
      for await (const row of reportRows(await ledgerOf(), batch)) rows.push(row);
      return rows;
    },
    async remove() {
      await installation.remove();
      await sandbox.close();
    },
  };
  return fleet;
}

/** The same certificates each time; another seed brings others. */
export function certificates(count: number, seed = 1): Certificate[] {
  return [...generateCertificates(count, { seed, instanceId: INSTANCE, caSn: 'CA01' })];
}

export function manifestOf(rows: readonly Certificate[]): string {
  return ['instanceId,caSn,deviceSn', ...rows.map((row) => Object.values(row).join(',')), ''].join('\n');
}

/**
 * The two oracles of a batch that is settled: every item has exactly one outcome, its own, and what counts as revoked is what the cloud deleted.
 * Answers with the report for further questions.
 */
export async function expectAccounted(
  fleet: Fleet,
  batch: string,
  items: readonly Certificate[],
): Promise<ReportRow[]> {
  const detail = await fleet.settled(batch);
  const { accepted, revoked, alreadyGone, dead, cancelled, pending } = detail;
  expect(accepted).toBe(items.length);
  expect(revoked + alreadyGone + dead + cancelled + pending).toBe(accepted);
  const rows = await fleet.report(batch);
  const byOrdinal = rows.toSorted((a, b) => a.ordinal - b.ordinal);
  expect(byOrdinal.map(({ ordinal }) => ordinal)).toEqual(items.map((_, n) => n));
  expect(byOrdinal.map(({ instanceId, caSn, deviceSn }) => ({ instanceId, caSn, deviceSn }))).toEqual(items);
  const isRevoked = byOrdinal.filter(({ outcome }) => outcome === 'revoked');
  expect(isRevoked).toHaveLength(revoked);
  expect(byOrdinal.filter(({ outcome }) => outcome === 'dead')).toHaveLength(dead);
  // Of a registry that is open at first, whatever is absent was deleted by us.
  expect(isRevoked.filter((row) => fleet.sandbox.has(row))).toEqual([]);
  return byOrdinal;
}
