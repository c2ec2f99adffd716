import { randomBytes, randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Outcome } from '../../src/core/batch.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import type { Batch, Priority } from '../../src/ledger/batch-record.ts';
import type { DeadLetter } from '../../src/ledger/dead-letters.ts';
import { Ledger, type Departure, type JoblessItem, type Run, type Settlement } from '../../src/ledger/ledger.ts';
import { Plan, type Activated } from '../../src/ledger/plan.ts';
import { reportRows, type ReportRow } from '../../src/ledger/report.ts';
import { testRedis } from '../support/redis.ts';

/** `count` certificates with random serial numbers of 16 bytes in hex, over the instances in turn. */
export function certificatesOf(count: number, instances: readonly string[] = ['post-cn-a']): Certificate[] {
  return Array.from({ length: count }, (_, n) => ({
    instanceId: instances[n % instances.length] ?? '',
    caSn: '007269004887',
    deviceSn: randomBytes(16).toString('hex'),
  }));
}

export function letterOf(certificate: Certificate, code = 'ParameterCheckFailed'): DeadLetter {
  const death = { code, message: 'no such thing', requestId: 'R', attempts: 1, at: 1_764_000_000_000 };
  return { ...certificate, ...death, effectUnknown: false, history: [] };
}

/** A call of the item is about to leave, in a run that has its job; another one each time unless it is named. */
export async function depart(
  redis: Redis,
  ledger: Ledger,
  batch: string,
  n: number,
  { retries = 0, ...run }: Partial<Run> & { readonly retries?: number } = {},
): Promise<Departure> {
  const lock = { key: `${ledger.keys.of(batch).record}:lock`, token: 'run' };
  await redis.set(lock.key, lock.token);
  return ledger.depart(batch, n, retries, { lock, name: randomUUID(), told: '', ...run });
}

/** Items as a cancel knows them that never had a job. */
export function jobless(...ordinals: number[]): JoblessItem[] {
  return ordinals.map((n) => ({ n, jobKeys: [] }));
}

/** A ledger with key names that nobody else has. */
export class LedgerRoom {
  readonly keys = testRedis();
  readonly redis = this.keys.client;
  readonly ledger = new Ledger(this.redis, this.keys.prefix);

  async plan(items: readonly Certificate[], priority: Priority = 'bulk'): Promise<Plan> {
    const plan = new Plan(this.redis, this.ledger, { priority }, Date.now());
    for (const item of items) await plan.add(item);
    return plan;
  }

  async submit(items: readonly Certificate[], priority: Priority = 'bulk'): Promise<Activated> {
    return (await this.plan(items, priority)).activate();
  }

  /** @returns the batch that runs */
  async batchOf(items: readonly Certificate[], priority: Priority = 'bulk'): Promise<string> {
    const activated = await this.submit(items, priority);
    if (activated.kind !== 'running') throw new Error(`the plan is ${activated.kind}`);
    return activated.batch;
  }

  settlement(batch: string, n: number, outcome: Outcome, rest: Partial<Settlement> = {}): Settlement {
    const letter =
      outcome === 'dead' ? { letter: JSON.stringify(letterOf({ instanceId: 'i', caSn: 'c', deviceSn: `${n}` })) } : {};
    // Of a job that nobody has.
    const run: Run = { lock: { key: `${this.ledger.keys.of(batch).record}:free`, token: '' }, name: '', told: '' };
    return { batch, n, outcome, code: 'OK', requestId: `R-${n}`, attempts: 0, ...letter, run, ...rest };
  }

  async batch(id: string): Promise<Batch> {
    const found = await this.ledger.batch(id);
    if (found === undefined) throw new Error(`there is no batch ${id}`);
    return found;
  }

  async rows(batch: string, only?: Outcome): Promise<ReportRow[]> {
    const rows: ReportRow[] = [];
    for await (const row of reportRows(this.redis, this.ledger, batch, only)) rows.push(row);
    return rows;
  }

  /** Every key that has the text in its name. */
  async keysWith(text: string): Promise<string[]> {
    return (await this.redis.keys(`${this.keys.prefix}*`)).filter((key) => key.includes(text));
  }

  cleanup(): Promise<void> {
    return this.keys.cleanup();
  }
}
