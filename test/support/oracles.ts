import { expect } from 'vitest';
import type { Certificate } from '../../src/core/certificate.ts';
import { RAMP_STEPS } from '../../src/core/batch.ts';
import { worstWindow } from '../../src/core/pace.ts';
import { ACCOUNT_KEY } from './installation.ts';
import { EGRESSES, type Caps, type Rig } from './rig.ts';
import { everythingIn, leaksIn } from './secrecy.ts';

/** What the oracles saw, for the record. */
export interface Findings {
  readonly sentWorst: number;
  readonly arrivedWorst: number;
  readonly witnessLagMs: number;
  /** Percent of the cap that was used, from the moment when the ramp was over and every address called to the last call. */
  readonly used: number;
  readonly calls: number;
  readonly items: number;
}

/** When each call of each worker left, on the host's monotonic clock. */
async function sendsOf(rig: Rig): Promise<number[]> {
  return (await Promise.all(rig.workers.map((worker) => worker.sends()))).flat();
}

/** Above what the senders sent, arrivals may bunch by as long as the way takes to differ, and the witness' own loop stands still. */
const WAY_JITTER_MS = 150;

/** Oracle 1, rate: no sliding second over a cap, by the senders' times and by arrivals, for the account and for each egress. */
export async function expectNeverOver(rig: Rig, items: number): Promise<Findings> {
  const { accountQps, egressQps } = rig.caps;
  const [calls, seen, sends] = await Promise.all([
    rig.calls(),
    rig.seen(),
    Promise.all(rig.workers.map(async (worker) => ({ egress: worker.egress, times: await worker.sends() }))),
  ]);
  const sent = sends.flatMap(({ times }) => times);
  const sentWorst = worstWindow(sent);
  expect(sentWorst, 'calls sent in the worst second').toBeLessThanOrEqual(accountQps);
  const allowed = (qps: number): number => Math.ceil(qps * (1 + (seen.worstLagMs + WAY_JITTER_MS) / 1_000));
  const arrivedWorst = worstWindow(calls.map(({ arrivedMs }) => arrivedMs));
  expect(arrivedWorst, 'calls that arrived in the worst second').toBeLessThanOrEqual(allowed(accountQps));
  for (const egress of EGRESSES) {
    const own = sends.filter((worker) => worker.egress === egress).flatMap(({ times }) => times);
    expect(worstWindow(own), `calls sent from ${egress}`).toBeLessThanOrEqual(egressQps);
    const arrived = calls.filter(({ address }) => address === egress).map(({ arrivedMs }) => arrivedMs);
    expect(worstWindow(arrived), `calls that arrived from ${egress}`).toBeLessThanOrEqual(allowed(egressQps));
  }
  const used = usedShare(sends, rig.caps);
  return { sentWorst, arrivedWorst, witnessLagMs: seen.worstLagMs, used, calls: calls.length, items };
}

function usedShare(sends: readonly { readonly egress: string; readonly times: number[] }[], caps: Caps): number {
  const all = sends.flatMap(({ times }) => times).toSorted((a, b) => a - b);
  const firstOf = new Map<string, number>();
  for (const { egress, times } of sends) {
    if (times.length > 0) firstOf.set(egress, Math.min(firstOf.get(egress) ?? Infinity, ...times));
  }
  const fromMs = Math.max(all[RAMP_STEPS.at(-1) ?? 0] ?? 0, ...firstOf.values());
  const cap = Math.min(caps.accountQps, caps.egressQps * firstOf.size);
  const spanMs = (all.at(-1) ?? fromMs) - fromMs;
  return Math.round((all.filter((time) => time > fromMs).length / ((spanMs / 1_000) * cap)) * 100);
}

/**
 * Oracle 1 where calls may not leave at all: none left between the two moments, by the senders' times.
 * @param fromMs - and `toMs`, on the host's monotonic clock
 */
export async function expectNoSends(rig: Rig, fromMs: number, toMs: number): Promise<void> {
  expect(toMs - fromMs, 'milliseconds without calls').toBeGreaterThan(0);
  const sent = await sendsOf(rig);
  const late = sent.filter((time) => time >= fromMs && time < toMs).map((time) => Math.round(time - fromMs));
  expect(late, `calls that left in ${Math.round(toMs - fromMs)} ms, by when`).toEqual([]);
}

/** Oracle 2, loss: every accepted item in exactly one outcome, its own; lost, doubled and invented are each zero. */
export async function expectNothingLost(rig: Rig, batch: string, items: readonly Certificate[]): Promise<void> {
  const detail = await rig.until(batch, ({ pending, state }) => pending === 0 && state !== 'planned');
  const { accepted, revoked, alreadyGone, dead, cancelled } = detail;
  expect(accepted).toBe(items.length);
  expect(revoked + alreadyGone + dead + cancelled).toBe(accepted);
  const rows = (await rig.report(batch)).toSorted((a, b) => a.ordinal - b.ordinal);
  expect(rows.map(({ ordinal }) => ordinal)).toEqual(items.map((_, n) => n));
  expect(rows.map(({ deviceSn }) => deviceSn)).toEqual(items.map(({ deviceSn }) => deviceSn));
}

/** Oracle 3, effect: deletions are a subset of the manifest, and `revoked` is what the registry lost. Nonces never repeat. */
export async function expectEffects(rig: Rig, batch: string, items: readonly Certificate[]): Promise<void> {
  const deleted = await expectDeletionsWithin(rig, items);
  const rows = await rig.report(batch);
  const revoked = new Set(rows.filter(({ outcome }) => outcome === 'revoked').map(({ deviceSn }) => deviceSn));
  expect(
    [...deleted].filter((sn) => !revoked.has(sn)),
    'deleted, and not counted as revoked',
  ).toEqual([]);
  expect(
    [...revoked].filter((sn) => !deleted.has(sn)),
    'counted as revoked, and not deleted',
  ).toEqual([]);
}

/** The part of oracle 3 that holds even where Redis lost what it had acknowledged. */
export async function expectDeletionsWithin(rig: Rig, items: readonly Certificate[]): Promise<Set<string>> {
  const calls = await rig.calls();
  const manifest = new Set(items.map(({ deviceSn }) => deviceSn));
  expect(calls.filter(({ deviceSn }) => !manifest.has(deviceSn))).toEqual([]);
  expect(new Set(calls.map(({ nonce }) => nonce)).size, 'different nonces').toBe(calls.length);
  return new Set(calls.filter(({ deleted }) => deleted).map(({ deviceSn }) => deviceSn));
}

/** Oracle 4, secrecy: no key, secret or signature in any output, Redis value or report. */
export async function expectSecrecy(rig: Rig, batch: string): Promise<void> {
  const texts: (readonly [where: string, text: string])[] = [
    ['the report', JSON.stringify(await rig.report(batch))],
    ...rig.workers.map((worker) => [`worker ${worker.pid}`, worker.output()] as const),
  ];
  for await (const [key, value] of everythingIn(rig.direct)) texts.push([`the key ${key}`, `${key} ${value}`]);
  const secrets = Object.values(ACCOUNT_KEY);
  expect(texts.flatMap(([where, text]) => leaksIn(text, secrets).map((leak) => `${where} holds ${leak}`))).toEqual([]);
}
