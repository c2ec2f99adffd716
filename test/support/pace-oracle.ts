import { appendFile } from 'node:fs/promises';
import { expect } from 'vitest';
import { RAMP_STEPS } from '../../src/core/batch.ts';
import { worstWindow } from '../../src/core/pace.ts';
import type { JournaledCall } from '../../src/sandbox/journal.ts';

/** The configured paces of each account and each address, calls a second. */
export interface Caps {
  readonly accountQps: number;
  readonly egressQps: number;
}

/** When calls left a process, milliseconds. */
export interface Sender {
  /** Its source address, as the witness sees it. */
  readonly egress: string;
  readonly sendsMs: readonly number[];
}

/** What the pace of a run is judged by. */
export interface PaceRecord {
  readonly caps: Caps;
  readonly senders: readonly Sender[];
  /** Calls that no sender may have noted: one for each process that was killed, between the write and the note. */
  readonly unnoted: number;
  readonly arrivals: readonly Pick<JournaledCall, 'arrivedMs' | 'address' | 'accessKeyId'>[];
  /** The longest the witness' own loop stood still. */
  readonly witnessLagMs: number;
}

/** What the oracle saw. */
export interface Findings {
  readonly sentWorst: number;
  readonly arrivedWorst: number;
  readonly witnessLagMs: number;
  /** See `usedPercent`. */
  readonly used: number;
  readonly calls: number;
  readonly items: number;
}

/** Above what the senders sent, arrivals may bunch by as long as the way takes to differ, and the witness' own loop stands still. */
const WAY_JITTER_MS = 150;

/**
 * Oracle 1, rate: no sliding second over a cap, by the senders' times and by arrivals, for each account and each address. What it saw goes to the
 * file that FAULTS_LOG names, if any.
 */
export async function expectNeverOver(scenario: string, record: PaceRecord, items: number): Promise<Findings> {
  const { caps, senders, arrivals, witnessLagMs } = record;
  const arrivedIn = (group: 'accessKeyId' | 'address', name: string): number =>
    worstWindow(arrivals.flatMap((call) => (call[group] === name ? [call.arrivedMs] : [])));
  const accounts = accountsOf(record);
  const findings: Findings = {
    sentWorst: worstWindow(senders.flatMap(({ sendsMs }) => sendsMs)),
    arrivedWorst: Math.max(0, ...accounts.map((account) => arrivedIn('accessKeyId', account))),
    witnessLagMs,
    used: usedPercent(record),
    calls: arrivals.length,
    items,
  };
  const log = process.env['FAULTS_LOG'];
  if (log !== undefined) await appendFile(log, `${JSON.stringify({ scenario, ...findings })}\n`);

  const sent = senders.reduce((sum, { sendsMs }) => sum + sendsMs.length, 0);
  expect(sent, 'calls that a sender noted').toBeGreaterThanOrEqual(arrivals.length - record.unnoted);
  const allowed = (qps: number): number => Math.ceil(qps * (1 + (witnessLagMs + WAY_JITTER_MS) / 1_000));
  // Senders do not say for which account.
  const sentAtMost = caps.accountQps * Math.max(1, accounts.length);
  expect(findings.sentWorst, 'calls sent in the worst second').toBeLessThanOrEqual(sentAtMost);
  expect(findings.arrivedWorst, 'calls that arrived in the worst second').toBeLessThanOrEqual(allowed(caps.accountQps));
  const addresses = [...senders.map(({ egress }) => egress), ...arrivals.map(({ address }) => address)];
  for (const egress of new Set(addresses)) {
    const own = senders.flatMap((sender) => (sender.egress === egress ? sender.sendsMs : []));
    expect(worstWindow(own), `calls sent from ${egress}`).toBeLessThanOrEqual(caps.egressQps);
    expect(arrivedIn('address', egress), `calls that arrived from ${egress}`).toBeLessThanOrEqual(
      allowed(caps.egressQps),
    );
  }
  return findings;
}

/**
 * Where calls may not leave at all: none left between the two moments, by the senders' times.
 * @param fromMs - and `toMs`, on the clock of the senders' times
 */
export function expectNoSends(senders: readonly Sender[], fromMs: number, toMs: number): void {
  expect(toMs - fromMs, 'milliseconds without calls').toBeGreaterThan(0);
  const sent = senders.flatMap(({ sendsMs }) => sendsMs);
  const late = sent.filter((time) => time >= fromMs && time < toMs).map((time) => Math.round(time - fromMs));
  expect(late, `calls that left in ${Math.round(toMs - fromMs)} ms, by when`).toEqual([]);
}

/** Percent of the cap that was used, from the moment when the ramp was over and every address called to the last call. */
export function usedPercent(record: PaceRecord): number {
  const { caps, senders } = record;
  const all = senders.flatMap(({ sendsMs }) => sendsMs).toSorted((a, b) => a - b);
  const firstOf = new Map<string, number>();
  for (const { egress, sendsMs } of senders) {
    if (sendsMs.length > 0) firstOf.set(egress, Math.min(firstOf.get(egress) ?? Infinity, ...sendsMs));
  }
  const fromMs = Math.max(all[RAMP_STEPS.at(-1) ?? 0] ?? 0, ...firstOf.values());
  const cap = Math.min(caps.accountQps * accountsOf(record).length, caps.egressQps * firstOf.size);
  const spanMs = (all.at(-1) ?? fromMs) - fromMs;
  return Math.round((all.filter((time) => time > fromMs).length / ((spanMs / 1_000) * cap)) * 100);
}

/** By their keys, as far as they called. */
function accountsOf({ arrivals }: PaceRecord): string[] {
  return [...new Set(arrivals.map(({ accessKeyId }) => accessKeyId))];
}
