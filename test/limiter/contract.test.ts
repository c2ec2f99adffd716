import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { worstWindow } from '../../src/core/pace.ts';
import type { CallRequest, Limiter } from '../../src/limiter/contract.ts';
import { FakePace } from '../support/fake-limiter.ts';
import { Fleet, slotOf } from './fleet.ts';
import { LuaNotes, type NotedVerdict } from './lua-notes.ts';

const QPS = 200;
const PROBE_INTERVAL_MS = 2_000;
/** What another process knows comes with its next look. */
const KNOWN = { timeout: 60_000, interval: 20 };

/** Limiters of one account of their own, each as in a process of its own. */
interface Stage {
  open(): Promise<Limiter<string, NotedVerdict>>;
  /** Sets what the notes say of these calls, and has all processes hear of it. */
  judge(calls: readonly string[], verdict: NotedVerdict['kind']): Promise<void>;
  /** Calls that got a slot. */
  noted(): Promise<ReadonlySet<string>>;
}

const fleet = new Fleet();
let stages = 0;
const opened: Limiter<string, NotedVerdict>[] = [];

function realStage(): Stage {
  stages += 1;
  const name = `contract-${stages}`;
  const pace = { account: { name, qps: QPS }, egress: { id: name, qps: QPS }, probeIntervalMs: PROBE_INTERVAL_MS };
  const notes = new LuaNotes(fleet.keys.client, `${fleet.keys.prefix}:${name}`);
  return {
    open: async () => (await fleet.openNoted(pace, notes)).limiter,
    async judge(calls, verdict) {
      await notes.judge(calls, verdict);
      await fleet.keys.client.incr(`${fleet.keys.prefix}:signals`);
    },
    noted: async () => new Set((await notes.log()).flatMap(({ kind, call }) => (kind === 'noted' ? [call] : []))),
  };
}

function fakeStage(): Stage {
  const verdicts = new Map<string, NotedVerdict>();
  const judge = (call: string): NotedVerdict => verdicts.get(call) ?? { kind: 'go' };
  const pace = new FakePace<string, NotedVerdict>({ qps: QPS, probeIntervalMs: PROBE_INTERVAL_MS, judge });
  return {
    open: async () => pace.open(),
    async judge(calls, kind) {
      for (const call of calls) verdicts.set(call, { kind });
      await pace.signal();
    },
    noted: async () => new Set(pace.noted),
  };
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((limiter) => limiter.close()));
  await fleet.closeAll();
});
afterAll(() => fleet.keys.cleanup());

const request = (call: string, instanceId = 'i', isUrgent = false): CallRequest<string> => ({
  instanceId,
  isUrgent,
  call,
});
const names = (count: number): string[] => Array.from({ length: count }, (_, at) => `c${at}`);
const HALT = ['account', 'i', 'Forbidden.RAM', 'not allowed'] as const;

async function openOn(stage: Stage): Promise<Limiter<string, NotedVerdict>> {
  const limiter = await stage.open();
  opened.push(limiter);
  return limiter;
}

describe.each([
  ['the limiter', realStage],
  ['the fake limiter', fakeStage],
])('%s', (_name, newStage) => {
  it('keeps every sliding second, for all processes together', async () => {
    const stage = newStage();
    const limiters = [await openOn(stage), await openOn(stage)];
    const times: number[] = [];
    await Promise.all(
      names(2 * QPS).map(async (call, at) => {
        const limiter = limiters[at % 2] ?? limiters[0];
        const grant = limiter === undefined ? undefined : await slotOf(limiter, request(call));
        const nowMs = performance.now();
        if (grant !== undefined && nowMs <= grant.notAfterMs) times.push(nowMs);
      }),
    );
    expect(times.length).toBeGreaterThan(0);
    expect(worstWindow(times)).toBeLessThanOrEqual(QPS);
  });

  it('serves first come, first served, the urgent ahead', async () => {
    const limiter = await openOn(newStage());
    const order: string[] = [];
    const take = async (call: string, isUrgent: boolean): Promise<void> => {
      expect((await limiter.take(request(call, 'i', isUrgent))).kind).toBe('slot');
      order.push(call);
    };
    const all = [take('3', false), take('4', false), take('1', true), take('5', false), take('2', true)];
    expect(limiter.waiting).toBe(5);
    await Promise.all(all);
    expect(order).toEqual(['1', '2', '3', '4', '5']);
    expect(limiter.waiting).toBe(0);
  });

  it('refuses what may not be called, and tells what the notes say of the rest', async () => {
    const stage = newStage();
    await stage.judge(['settled', 'paused'], 'settled');
    const limiter = await openOn(stage);
    expect(await limiter.take(request('settled'))).toEqual({ kind: 'refused', verdict: { kind: 'settled' } });
    expect(await slotOf(limiter, request('good'))).toMatchObject({ isProbe: false, verdict: { kind: 'go' } });
    expect((await slotOf(limiter, { instanceId: 'i', isUrgent: false })).verdict).toBeUndefined();
    expect(await stage.noted()).toContain('good');
    expect(await stage.noted()).not.toContain('settled');
  });

  it('refuses who waits when that changes, though there is no slot', async () => {
    const stage = newStage();
    const limiter = await openOn(stage);
    await (await slotOf(limiter, request('first'))).report({ kind: 'throttled', retryAfterMs: 60_000 });
    const calls = names(40);
    const taken = Promise.all(calls.map((call) => limiter.take(request(call))));
    await stage.judge(calls, 'cancelled');
    expect(new Set((await taken).map(({ kind }) => kind))).toEqual(new Set(['refused']));
  });

  it('gives no slot for as long as a throttling answer says', async () => {
    const stage = newStage();
    const [hit, other] = [await openOn(stage), await openOn(stage)];
    const grant = await slotOf(hit, request('first'));
    const startMs = performance.now();
    expect(await grant.report({ kind: 'throttled', retryAfterMs: 500 })).toBe('nothing');
    await slotOf(other, request('second'));
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(500);
  });

  it('stops an account in all processes, those who wait included, and is marked once', async () => {
    const stage = newStage();
    const [first, second] = [await openOn(stage), await openOn(stage)];
    const onItsWay = await slotOf(first, request('early'));
    const waiting = Promise.all(names(5 * QPS).map((call) => second.take(request(call))));
    const [scope, , code, message] = HALT;
    expect(await onItsWay.report({ kind: 'halt', scope, code, message })).toBe('halted');
    expect(await first.halt(...HALT)).toBe(false);
    const told = await first.take(request('late'));
    expect(told).toMatchObject({ kind: 'halted', scope, code, message });
    expect(told.kind === 'halted' && told.retryInMs >= 250).toBe(true);
    expect((await waiting).at(-1)).toMatchObject({ kind: 'halted', code });
    expect([first.isHalted, second.isHalted, first.admits('other')]).toEqual([true, true, 'none']);
    // A call that left before the halt proves nothing.
    expect(await onItsWay.report({ kind: 'proved' })).toBe('nothing');
  });

  it('stops an instance alone', async () => {
    const stage = newStage();
    const [first, second] = [await openOn(stage), await openOn(stage)];
    expect(await first.halt('instance', 'bad', 'InstanceNotExist', 'gone')).toBe(true);
    await vi.waitUntil(() => second.admits('bad') !== 'all', KNOWN);
    expect([first.isHalted, second.isHalted, second.admits('good')]).toEqual([false, false, 'all']);
    expect((await second.take(request('good', 'good'))).kind).toBe('slot');
  });

  it('has one caller probe a halt, passes on a probe that tells nothing, and goes on after one that succeeds', async () => {
    const limiter = await openOn(newStage());
    await limiter.halt(...HALT);
    await vi.waitUntil(() => limiter.admits('i') === 'probe', KNOWN);
    const [probe, sentAway] = await Promise.all([slotOf(limiter, request('p1')), limiter.take(request('p2'))]);
    expect([probe.isProbe, sentAway.kind]).toEqual([true, 'halted']);
    expect(await probe.report({ kind: 'void' })).toBe('nothing');
    await vi.waitUntil(() => limiter.admits('i') === 'probe', KNOWN);
    const next = await slotOf(limiter, request('p3'));
    expect(next.isProbe).toBe(true);
    expect(await next.report({ kind: 'proved' })).toBe('lifted');
    expect([limiter.isHalted, limiter.admits('i')]).toEqual([false, 'all']);
    expect(await slotOf(limiter, request('after'))).toMatchObject({ isProbe: false });
  });

  it('tells those who wait when it closes, and all who come after', async () => {
    const limiter = await openOn(newStage());
    await (await slotOf(limiter, request('first'))).report({ kind: 'throttled', retryAfterMs: 60_000 });
    const taken = names(5).map((call) => limiter.take(request(call)));
    await limiter.close();
    const grants = await Promise.all([...taken, limiter.take(request('late'))]);
    expect(grants).toEqual(grants.map(() => ({ kind: 'closed' })));
    expect(limiter.waiting).toBe(0);
  });
});
