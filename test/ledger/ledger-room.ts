import { randomBytes, randomUUID } from 'node:crypto';
import type { Action } from '../../src/core/action.ts';
import type { Outcome } from '../../src/core/batch.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import { FIRST_ATTEMPT } from '../../src/core/decide.ts';
import type { Batch, Priority } from '../../src/ledger/batch-record.ts';
import {
  CALL_NOTES,
  notesRequest,
  readVerdict,
  type CallToNote,
  type CallVerdict,
  type Run,
} from '../../src/ledger/call-notes.ts';
import type { DeadLetter } from '../../src/ledger/dead-letters.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import type { Activated } from '../../src/ledger/activation.ts';
import { Plan } from '../../src/ledger/plan.ts';
import type { ItemEnd, ItemReport, Reported } from '../../src/ledger/items.ts';
import { reportRows, type ReportRow } from '../../src/ledger/report.ts';
import type { Claimed } from '../../src/ledger/waiting.ts';
import { script } from '../../src/runtime/redis/script.ts';
import { testRedis } from '../support/redis.ts';

export const INSTANCE = 'post-cn-a';
/** Far longer than a test takes. */
export const LEASE_MS = 3_600_000;
/** The run of a job that nobody has, nor may. */
export const NOBODY: Run = { kind: 'job', lockKey: 'lock-of-nobody', token: '' };

/** `count` certificates with random serial numbers of 16 bytes in hex, over the instances in turn. */
export function certificatesOf(count: number, instances: readonly string[] = [INSTANCE]): Certificate[] {
  return Array.from({ length: count }, (_, n) => ({
    instanceId: instances[n % instances.length] ?? '',
    caSn: '007269004887',
    deviceSn: randomBytes(16).toString('hex'),
  }));
}

export function letterOf(certificate: Certificate, code = 'ParameterCheckFailed'): DeadLetter {
  const death = { code, message: 'no such thing', requestId: 'R', calls: 1, at: 1_764_000_000_000 };
  return { ...certificate, ...death, effectUnknown: false, history: [] };
}

/** A letter as a worker hands it to the ledger, which adds the rest. */
export function letterText(certificate: Certificate, code?: string): string {
  const { effectUnknown: _, history: __, ...letter } = letterOf(certificate, code);
  return JSON.stringify(letter).slice(0, -1);
}

type Settle = Extract<ItemEnd, { kind: 'settle' }>;
export type ReportRest = Partial<Omit<ItemReport, 'n' | 'end'>> & Partial<Omit<Settle, 'kind' | 'outcome'>>;

/** What the script that gives slots does with its notes, and nothing else: so many of the callable calls get a slot. */
const noteScript = script<[string[], number[], string]>(`${CALL_NOTES}
local nowMs = redis.call('TIME')[1] * 1000
local verdicts, callable, note = openCalls(cjson.decode(ARGV[1]), 1, nowMs, tonumber(ARGV[3]))
local count = math.min(tonumber(ARGV[2]), #callable)
note(count)
for at = #callable, count + 1, -1 do callable[at] = nil end
return { verdicts, callable, string.format('%.0f', nowMs + ARGV[3]) }`);

export interface NoteOptions {
  /** Calls that get a slot at most; all of them when not given. */
  readonly slots?: number;
  readonly back?: readonly CallToNote[];
}

/** A ledger with key names that nobody else has. */
export class LedgerRoom {
  readonly keys = testRedis();
  readonly redis = this.keys.client;
  readonly ledger = new Ledger(this.redis, this.keys.prefix);
  #noteCount = 0;

  async plan(items: readonly Certificate[], priority: Priority = 'bulk', action: Action = 'delete'): Promise<Plan> {
    const plan = new Plan(this.ledger, { priority, action, retire: { soakMs: 0 } }, Date.now());
    for (const item of items) await plan.add(item);
    return plan;
  }

  async submit(items: readonly Certificate[], priority: Priority = 'bulk', action?: Action): Promise<Activated> {
    return (await this.plan(items, priority, action)).activate();
  }

  /** @returns the batch that runs */
  async batchOf(items: readonly Certificate[], priority: Priority = 'bulk', action?: Action): Promise<string> {
    const activated = await this.submit(items, priority, action);
    if (activated.kind !== 'running') throw new Error(`the plan is ${activated.kind}`);
    return activated.batch;
  }

  /** A run that has its job, until it is told to lose it. */
  async job(name: string = randomUUID()): Promise<Extract<Run, { kind: 'job' }>> {
    const run = this.joblessRun(name);
    await this.redis.set(run.lockKey, run.token);
    return run;
  }

  joblessRun(name: string = randomUUID()): Extract<Run, { kind: 'job' }> {
    return { kind: 'job', lockKey: `${this.keys.prefix}:lock of ${name}`, token: `token-${name}` };
  }

  async loseJob(run: Run): Promise<void> {
    if (run.kind === 'job') await this.redis.del(run.lockKey);
  }

  /** Takes what may go on of an instance. */
  claim(most = 100, instanceId = INSTANCE, leaseMs = LEASE_MS): Promise<Claimed> {
    return this.ledger.waiting.claim(new Map([[instanceId, most]]), leaseMs);
  }

  /** Takes what may go on, and has a run for each item. @returns those of the batch, by ordinal */
  async claimRuns(batch: string, instanceId = INSTANCE): Promise<(n: number) => Extract<Run, { kind: 'claim' }>> {
    const claims = (await this.claim(100, instanceId)).claims.filter((claim) => claim.batch === batch);
    const runs = new Map(claims.map(({ n, score }) => [n, { kind: 'claim' as const, name: randomUUID(), score }]));
    return (n) => {
      const run = runs.get(n);
      if (run === undefined) throw new Error(`item ${n} was not taken`);
      return run;
    };
  }

  /** Has calls noted, as the limiter does. @returns what the ledger says of each, and the indexes of those that were noted */
  async noteAll(
    calls: readonly CallToNote[],
    { slots = calls.length, back = [] }: NoteOptions = {},
  ): Promise<{ verdicts: CallVerdict[]; noted: number[] }> {
    const { keys, json } = notesRequest(this.ledger.keys, calls, back);
    // A claim is known by its end: no two notes give the same one, and none that of a claim.
    this.#noteCount += 1;
    const leaseMs = 2 * LEASE_MS + this.#noteCount;
    const [verdicts, callable, claimEnd] = await noteScript(this.redis, keys, [json, slots, leaseMs]);
    const noted = callable.map((at) => at - 1);
    for (const at of noted) {
      const run = calls[at]?.run;
      if (run?.kind === 'claim') run.score = Number(claimEnd);
    }
    return { verdicts: verdicts.map(readVerdict), noted };
  }

  /** Has one call noted. @returns the verdict's kind, of `go` followed by what lies behind the item, but for nothing */
  async note(batch: string, n: number, run: Run, rest: Partial<CallToNote> = {}): Promise<string> {
    const { verdicts } = await this.noteAll([{ batch, n, instanceId: INSTANCE, run, ...rest }]);
    const [verdict] = verdicts;
    if (verdict === undefined || !('attempt' in verdict)) return verdict?.kind ?? '';
    const { failures, calls, effectUnknown } = verdict.attempt;
    const past = [failures, calls, effectUnknown ? 'unknown' : 'known'].join(' ');
    return past === '0 0 known' ? verdict.kind : `${verdict.kind} ${past}`;
  }

  /** As a run says it that has made no call, unless it is told otherwise. */
  settlement(n: number, outcome: Outcome, rest: ReportRest = {}): ItemReport {
    const { run = NOBODY, instanceId = INSTANCE, key, ...end } = rest;
    const letter = outcome === 'dead' ? { letter: letterText({ instanceId, caSn: 'c', deviceSn: `${n}` }) } : {};
    const how = { code: 'OK', requestId: `R-${n}`, attempt: FIRST_ATTEMPT, isUncalled: true, ...letter, ...end };
    return { n, instanceId, run, ...(key !== undefined && { key }), end: { kind: 'settle', outcome, ...how } };
  }

  report(batch: string, ...reports: readonly ItemReport[]): ReturnType<Ledger['items']['report']> {
    return this.ledger.items.report(batch, reports);
  }

  /** @returns `drained` where it was the batch's last item */
  async settle(batch: string, n: number, outcome: Outcome, rest: ReportRest = {}): Promise<Reported | 'drained'> {
    const { replies, isDrained } = await this.report(batch, this.settlement(n, outcome, rest));
    return isDrained ? 'drained' : (replies[0] ?? 'unknown');
  }

  /** The item leaves its run, or stays with it. */
  async handBack(batch: string, n: number, run: Run, end: Exclude<ItemEnd, { kind: 'settle' }>): Promise<Reported> {
    const { replies } = await this.report(batch, { n, instanceId: INSTANCE, run, end });
    return replies[0] ?? 'unknown';
  }

  /** The attempt records of a batch, as they are written. */
  attempts(batch: string): Promise<Record<string, string>> {
    return this.redis.hgetall(this.ledger.keys.of(batch).attempts);
  }

  /** What waits of an instance, by when it may go on. */
  async waiting(instanceId = INSTANCE): Promise<Map<string, number>> {
    const flat = await this.redis.zrange(this.ledger.keys.waiting(instanceId), '0', '-1', 'WITHSCORES');
    const members = flat.filter((_, at) => at % 2 === 0);
    return new Map(members.map((member, at) => [member, Number(flat[2 * at + 1])]));
  }

  async batch(id: string): Promise<Batch> {
    const found = await this.ledger.batches.find(id);
    if (found === undefined) throw new Error(`there is no batch ${id}`);
    return found;
  }

  async rows(batch: string, only?: Outcome): Promise<ReportRow[]> {
    const rows: ReportRow[] = [];
    for await (const row of reportRows(this.ledger, batch, only)) rows.push(row);
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
