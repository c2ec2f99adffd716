import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { BatchStatus } from '../../src/app/overview.ts';
import { Exposition, scrape } from '../support/exposition.ts';
import { certificates, openFleet, type Fleet } from '../support/fleet.ts';
import { freePort } from '../support/free-port.ts';
import { alertQuestions, dashboardPanels, matchersOf, metricsOf } from '../support/monitoring.ts';
import { findPromtool, promtool } from '../support/promtool.ts';

const tool = (await findPromtool()) ?? '';
const QPS = 200;
const ITEMS = certificates(300);
const GONE = 20;
const DYING = ITEMS.slice(100, 107).map(({ deviceSn }) => deviceSn);
const THROTTLED = ITEMS.slice(200, 205).map(({ deviceSn }) => deviceSn);
const HELD = certificates(10, 2);

let fleet: Fleet;
let workers: readonly string[];
let serve: string;
let status: BatchStatus;
/** Of all processes, after the run. */
let shown: Exposition;

const now = async (): Promise<Exposition> =>
  new Exposition(...(await Promise.all([...workers, serve].map((url) => scrape(url)))));

beforeAll(async () => {
  fleet = await openFleet({
    sandbox: {
      registry: [...ITEMS.slice(GONE), ...HELD],
      plan: {
        seed: 1,
        faults: [
          { kind: 'code', code: 'ParameterCheckFailed', deviceSns: DYING, times: Number.POSITIVE_INFINITY },
          { kind: 'throttle', deviceSns: THROTTLED },
        ],
      },
    },
    settings: { http: { port: 0 }, egress: { qps: QPS }, breaker: { maxDeadShare: 0.5 } },
  });
  await fleet.holdRedis();
  const ports = [await freePort(), await freePort()];
  await Promise.all(ports.map((port) => fleet.startWorker({ env: { CERTSWEEP_HEALTH_PORT: String(port) } })));
  workers = ports.map((port) => `http://127.0.0.1:${port}/metrics`);
  const server = fleet.start(['serve']);
  await server.says('"event":"serve-started"');
  serve = `${/"url":"([^"]+)"/.exec(server.output())?.[1]}metrics`;
  const batch = await fleet.submit(ITEMS);
  await fleet.settled(batch);
  // Each reads what a worker counted when Redis had answered it.
  shown = await settledOn(ITEMS.length);
  const { stdout } = await fleet.run(['status', batch, '--json']);
  status = JSON.parse(stdout) as BatchStatus;
});
afterAll(() => fleet.remove());

describe('after a run with throttling, dead and already revoked certificates', () => {
  it('shows the numbers of status, to the item, as sums over the workers', () => {
    const { accepted, revoked, alreadyGone, dead, cancelled, pending } = status;
    const settled = (outcome: string): number | undefined =>
      shown.sum('certsweep_settled_total', { account: 'fleet', outcome });
    expect([revoked, alreadyGone, dead]).toEqual([ITEMS.length - GONE - DYING.length, GONE, DYING.length]);
    expect([settled('revoked'), settled('already-gone'), settled('dead'), settled('cancelled')]).toEqual([
      revoked,
      alreadyGone,
      dead,
      cancelled,
    ]);
    expect(shown.sum('certsweep_settled_total')).toBe(accepted);
    expect([shown.sum('certsweep_pending_items'), shown.sum('certsweep_dead_letters')]).toEqual([pending, dead]);
    expect(shown.sum('certsweep_oldest_pending_timestamp_seconds')).toBeUndefined();
  });

  it('counts each call that the endpoint heard, by what its answer meant', () => {
    const calls = (verdict: string): number | undefined => shown.sum('certsweep_calls_total', { verdict });
    expect([calls('done'), calls('dead'), calls('halt')]).toEqual([
      status.revoked + status.alreadyGone,
      status.dead,
      0,
    ]);
    expect(calls('throttled')).toBeGreaterThanOrEqual(THROTTLED.length);
    const all = fleet.sandbox.seen().calls;
    expect(shown.sum('certsweep_calls_total')).toBe(all);
    expect(shown.sum('certsweep_call_duration_seconds_count')).toBe(all);
    expect(shown.sum('certsweep_call_duration_seconds_bucket', { le: '+Inf' })).toBe(all);
    const late = shown.sum('certsweep_slots_unused_total', { cause: 'call-late' }) ?? 0;
    expect(shown.sum('certsweep_slots_taken_total')).toBe(all + late);
  });

  it('shows what Redis holds once, however many workers there are', () => {
    expect(shown.sum('certsweep_redis_up')).toBe(1);
    expect(shown.sum('certsweep_workers', { account: 'fleet' })).toBe(2);
    expect(shown.sum('certsweep_account_fed')).toBe(1);
    expect(shown.sum('certsweep_pace_configured_per_second')).toBe(5_000);
    expect(shown.sum('certsweep_standing_halts')).toBe(0);
    const [first = '', second = '', last = ''] = shown.texts;
    const own = (text: string): string[] =>
      [...new Exposition(text).names].filter((name) => name.startsWith('certsweep_'));
    const both = own(last).filter((name) => own(first + second).includes(name));
    expect(both.filter((name) => !name.startsWith('certsweep_redis_round_trip_seconds'))).toEqual([]);
    // One process of the two feeds.
    expect([first, second].filter((text) => text.includes('\ncertsweep_feeder_lag_seconds{'))).toHaveLength(1);
  });

  it('names no batch and no certificate', () => {
    const values = [...shown.labels].flatMap(([, all]) => [...all]);
    expect(values).not.toContain(status.batch);
    const serials = new Set(ITEMS.map(({ deviceSn }) => deviceSn));
    expect(values.filter((value) => serials.has(value))).toEqual([]);
  });

  it.skipIf(tool === '')('has names and units as Prometheus wants them', async () => {
    for (const text of shown.texts) {
      const { code, output } = await promtool(tool, ['check', 'metrics'], text);
      expect([code, output]).toEqual([0, '']);
    }
  });

  it('has every metric, and every value of a label, that the dashboard and the alerts ask for', async () => {
    const panels = await dashboardPanels();
    const questions = [...panels.flatMap((panel) => panel.questions), ...(await alertQuestions())];
    expect(questions.length).toBeGreaterThan(30);
    const described = shown.texts.flatMap((text) =>
      [...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name = '']) => name),
    );
    const known = new Set([...described, ...shown.names]);
    expect(questions.flatMap(metricsOf).filter((name) => !known.has(name))).toEqual([]);
    // And the other way round, none is asked for by nobody.
    const asked = questions.join(' ');
    expect(described.filter((name) => name.startsWith('certsweep_') && !asked.includes(name))).toEqual([]);
    const isOurs = ({ label, value }: { label: string; value: string }): boolean => label !== 'job' && value !== '.*';
    const matchers = questions.flatMap(matchersOf).filter(isOurs);
    expect(matchers.filter(({ label, value }) => shown.labels.get(label)?.has(value) !== true)).toEqual([]);
  });

  it('shows what stands still, and since when', async () => {
    const before = Date.now() / 1_000;
    await done('stop', '--all', '--reason', 'a test');
    const batch = await fleet.submit(HELD);
    await done('pause', batch);
    await expect.poll(async () => (await now()).sum('certsweep_paused_batches')).toBe(1);
    const then = await now();
    expect(then.sum('certsweep_stopped')).toBe(1);
    expect(then.sum('certsweep_pace_in_force_per_second')).toBe(0);
    expect(then.sum('certsweep_pending_items', { state: 'paused' })).toBe(HELD.length);
    expect(then.sum('certsweep_pending_items', { state: 'running' })).toBe(0);
    const since = then.sum('certsweep_oldest_pending_timestamp_seconds') ?? 0;
    expect(since).toBeGreaterThanOrEqual(before - 1);
    expect(since).toBeLessThanOrEqual(Date.now() / 1_000 + 1);
  });

  it('still answers when Redis is gone, and says so', async () => {
    process.kill((await fleet.serverPid()) ?? 0, 'SIGSTOP');
    try {
      await expect.poll(async () => new Exposition(await scrape(serve)).sum('certsweep_redis_up')).toBe(0);
      const alone = new Exposition(await scrape(serve));
      expect(alone.sum('certsweep_dead_letters')).toBeUndefined();
      expect(alone.sum('process_resident_memory_bytes')).toBeGreaterThan(0);
      const [worker = ''] = workers;
      expect(new Exposition(await scrape(worker)).sum('certsweep_calls_total')).toBeGreaterThan(0);
    } finally {
      process.kill((await fleet.serverPid()) ?? 0, 'SIGCONT');
    }
  });
});

async function done(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await fleet.run(args);
  if (code !== 0) throw new Error(stderr);
}

/** What is shown when the workers have counted so many outcomes: they do so when Redis has answered. */
async function settledOn(count: number): Promise<Exposition> {
  return vi.waitFor(
    async () => {
      const seen = await now();
      const [settled, pending] = [seen.sum('certsweep_settled_total'), seen.sum('certsweep_pending_items')];
      if (settled !== count || pending !== 0) throw new Error(`not yet: ${settled} settled, ${pending} pending`);
      return seen;
    },
    { timeout: 60_000, interval: 200 },
  );
}
