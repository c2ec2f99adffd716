import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { worstWindow } from '../../../src/core/pace.ts';
import { accountKey } from '../../../src/limiter/contract.ts';
import { lowerPace, restorePace } from '../../../src/limiter/pace/lowered-pace.ts';
import { readPace } from '../../../src/limiter/pace/read-pace.ts';
import { ANY, Fleet, slotOf, type Member } from '../fleet.ts';
import { Given } from './given-slots.ts';
import { SECOND_US, VirtualTime, type Asker } from './virtual-time.ts';

const fleet = new Fleet();
const { client, prefix } = fleet.keys;
const QPS = 300;
const LOWERED = 40;
const accounts = ['several', 'ended', 'short'];
const pace = (name: string) => ({ account: { name, qps: QPS }, egress: { id: name, qps: QPS } });

beforeAll(() => fleet.prime(accounts.map(pace)));
afterAll(async () => {
  await fleet.closeAll();
  await fleet.keys.cleanup();
});

/** So long after the command, milliseconds, no sliding second may be above it. */
const WITHIN_MS = 2_000;

let opened = 0;
function virtualTime(): VirtualTime {
  opened += 1;
  return new VirtualTime(client, `${prefix}:virtual:${opened}`);
}

/** Processes of an account, behind two addresses, one with another configuration of how late a call may be. */
const ASKERS: readonly Asker[] = (['x', 'x', 'y', 'y'] as const).map((egress, at) => {
  return { account: 'a', accountQps: QPS, egress, egressQps: 200, lateMs: at === 3 ? 60 : 25 };
});

const ask = fc.record({
  by: fc.constantFrom(...ASKERS),
  count: fc.integer({ min: 1, max: 20 }),
  pauseUs: fc.integer({ min: 0, max: 40_000 }),
});
const asks = (count: number) => fc.array(ask, { minLength: count, maxLength: count });

async function warmed(): Promise<VirtualTime> {
  const time = virtualTime();
  for (const by of ASKERS) await time.reserve(by, 1);
  time.nowUs += 2 * SECOND_US;
  return time;
}

async function askAll(time: VirtualTime, given: Given, all: readonly { by: Asker; count: number; pauseUs: number }[]) {
  for (const { by, count, pauseUs } of all) {
    time.nowUs += pauseUs;
    given.add(by, (await time.reserve(by, count)).slots);
  }
}

describe('the slots of any processes', () => {
  it('keep every sliding second within a lowered pace, from two seconds after the command, also when it is lowered again', async () => {
    const lower = fc.integer({ min: 1, max: QPS - 1 });
    await fc.assert(
      fc.asyncProperty(asks(40), lower, asks(160), lower, asks(160), async (before, first, then, second, after) => {
        const time = await warmed();
        const given = new Given();
        await askAll(time, given, before);
        await time.lower('a', first, 3_600_000);
        const firstUs = time.nowUs;
        await askAll(time, given, then);
        // Of the first command's time alone: what the second one gives may be more.
        expect(given.worst('account a', firstUs + WITHIN_MS * 1_000)).toBeLessThanOrEqual(first);
        await time.lower('a', second, 3_600_000);
        const secondUs = time.nowUs;
        await askAll(time, given, after);
        expect(given.worst('account a', secondUs + WITHIN_MS * 1_000)).toBeLessThanOrEqual(second);
        expect(given.worst('account a')).toBeLessThanOrEqual(QPS);
      }),
      { numRuns: 15, endOnFailure: true },
    );
  });

  it('are at the configured pace again when its time has passed, and never above', async () => {
    const time = await warmed();
    const given = new Given();
    const all = (pulses: number) =>
      Array.from({ length: pulses }, () => ASKERS[0]).flatMap((by) => (by ? [{ by, count: 20, pauseUs: 25_000 }] : []));
    await time.lower('a', 10, 3_000);
    await askAll(time, given, all(120));
    const endUs = time.nowUs;
    expect(given.worst('account a')).toBeLessThanOrEqual(10);
    await askAll(time, given, all(120));
    // The address' pace is the lower one.
    expect(given.worst('account a', endUs + SECOND_US)).toBeGreaterThan(190);
    expect(given.worst('egress x')).toBeLessThanOrEqual(200);
  });
});

/** Calls as often as it may, by several callers at once. */
function callAgain({ limiter }: Member, times: number[], until: () => boolean): Promise<void[]> {
  const call = async (): Promise<void> => {
    while (!until()) {
      const grant = await limiter.take(ANY);
      const nowMs = performance.now();
      if (grant.kind === 'closed') return;
      if (grant.kind === 'slot' && nowMs <= grant.notAfterMs) times.push(nowMs);
    }
  };
  return Promise.all(Array.from({ length: 30 }, call));
}

// They have accounts of their own, and most of their time they wait.
describe.concurrent('limiters of several processes', () => {
  it('obey from two seconds after the command, and go back by themselves', async () => {
    const members = await Promise.all([1, 2, 3].map(() => fleet.open(pace('several'))));
    const times: number[] = [];
    let isOver = false;
    const callers = members.map((member) => callAgain(member, times, () => isOver));
    await vi.waitUntil(() => times.length > QPS, { timeout: 60_000 });
    await lowerPace(client, prefix, { account: 'several', qps: LOWERED, forSeconds: 5 }, {});
    const commandMs = performance.now();
    expect(await readPace(client, prefix, { account: 'several' })).toMatchObject({
      qps: QPS,
      lowered: { qps: LOWERED },
    });
    // Back by itself: as many calls within a second as the lowered pace does not allow.
    await vi.waitUntil(() => worstWindow(times.filter((at) => at > commandMs + 4_000)) > LOWERED, { timeout: 60_000 });
    isOver = true;
    await Promise.all(callers);
    // The end is by Redis' clock, and by ours some milliseconds off.
    const meanwhile = times.filter((at) => at >= commandMs + WITHIN_MS && at < commandMs + 4_900);
    expect(meanwhile.length).toBeGreaterThan(LOWERED);
    expect(worstWindow(meanwhile)).toBeLessThanOrEqual(LOWERED);
    expect(worstWindow(times)).toBeLessThanOrEqual(QPS);
    expect(await readPace(client, prefix, { account: 'several' })).toMatchObject({ lowered: undefined });
  });

  it('are at the configured pace again when an operator ends it', async () => {
    const member = await fleet.open(pace('ended'));
    await lowerPace(client, prefix, { account: 'ended', qps: 2, forSeconds: 3_600 }, {});
    const times: number[] = [];
    let isOver = false;
    const callers = callAgain(member, times, () => isOver);
    await vi.waitUntil(() => times.length > 2, { timeout: 60_000 });
    expect(worstWindow(times)).toBeLessThanOrEqual(2);
    expect(await restorePace(client, prefix, { account: 'ended', qps: QPS }, {})).toBe(true);
    expect(await restorePace(client, prefix, { account: 'ended', qps: QPS }, {})).toBe(false);
    await vi.waitUntil(() => times.length > QPS, { timeout: 60_000 });
    isOver = true;
    await callers;
    expect(worstWindow(times)).toBeLessThanOrEqual(QPS);
  });

  it('keep a lowered pace to its end, however long nobody calls and whatever is written beside it', async () => {
    const days = 6;
    await lowerPace(client, prefix, { account: 'short', qps: 1, forSeconds: days * 86_400 }, {});
    const { limiter } = await fleet.open(pace('short'));
    const grant = await slotOf(limiter);
    await grant.report({ kind: 'throttled', retryAfterMs: 0 });
    expect(await client.pttl(accountKey(prefix, 'short'))).toBeGreaterThan((days - 1) * 86_400_000);
  });
});
