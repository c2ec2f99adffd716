import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { HORIZON_MS } from '../../../src/core/pace.ts';
import { testRedis } from '../../support/redis.ts';
import { Given } from './given-slots.ts';
import { AHEAD_MS, SECOND_US, VirtualProcess, VirtualTime, type Asker } from './virtual-time.ts';

const keys = testRedis();
afterAll(() => keys.cleanup());

let opened = 0;
function virtualTime(): VirtualTime {
  opened += 1;
  return new VirtualTime(keys.client, `${keys.prefix}:${opened}`);
}

/** Calls a second of two accounts behind three addresses. What is asked for is 600 a second or so, so that any of them may be the narrow one. */
const pace = fc.integer({ min: 10, max: 300 });
const paces = fc.record({ account: fc.record({ a: pace, b: pace }), egress: fc.record({ x: pace, y: pace, z: pace }) });
type Paces = typeof paces extends fc.Arbitrary<infer Drawn> ? Drawn : never;
const ALL = (['a', 'b'] as const).flatMap((account) =>
  (['x', 'y', 'z'] as const).map((egress) => ({ account, egress })),
);

/** A process asks for slots, more than there are on the whole. */
const ask = fc.record({
  kind: fc.constant('ask' as const),
  account: fc.constantFrom('a' as const, 'a' as const, 'b' as const),
  egress: fc.constantFrom('x' as const, 'y' as const, 'z' as const),
  count: fc.integer({ min: 1, max: 8 }),
  pauseUs: fc.integer({ min: 0, max: 14_000 }),
});
const throttling = fc.record({
  kind: fc.constant('throttled' as const),
  account: fc.constantFrom('a', 'b'),
  retryAfterMs: fc.constantFrom(0, 40),
});
const mishap = fc.oneof(
  fc.record({ kind: fc.constant('lose' as const), of: fc.constantFrom(...ALL) }),
  fc.record({ kind: fc.constant('other-server' as const) }),
  fc.record({ kind: fc.constant('clock-forward' as const), byMs: fc.constantFrom(20, 700, 3_600_000) }),
  fc.record({
    kind: fc.constant('clock-forward-and-start' as const),
    byMs: fc.constantFrom(20, 700, 3_600_000),
    started: fc.subarray(ALL, { minLength: 1 }),
  }),
  fc.record({ kind: fc.constant('clock-back' as const), byMs: fc.constantFrom(10, 700, 3_000, 3_600_000) }),
);
type Event =
  | (typeof ask extends fc.Arbitrary<infer Ask> ? Ask : never)
  | (typeof throttling extends fc.Arbitrary<infer Throttling> ? Throttling : never)
  | (typeof mishap extends fc.Arbitrary<infer Mishap> ? Mishap : never);

const asks = (count: number): fc.Arbitrary<Event[]> =>
  fc.array(fc.oneof({ weight: 200, arbitrary: ask }, { weight: 1, arbitrary: throttling }), {
    minLength: count,
    maxLength: count,
  });

/** Lets the events happen, and checks the promise for every account and address. */
async function check(
  events: readonly Event[],
  { account: accounts, egress: egresses }: Paces,
  lateMs: number,
): Promise<void> {
  const time = virtualTime();
  const given = new Given();
  let shortestUs = Number.POSITIVE_INFINITY;
  const processes = ALL.map(({ account, egress }) => {
    const [accountQps, egressQps] = [accounts[account], egresses[egress]];
    return new VirtualProcess(time, { account, egress, lateMs, accountQps, egressQps });
  });
  const processOf = (account: string, egress: string): VirtualProcess | undefined =>
    processes.find(({ asker }) => asker.account === account && asker.egress === egress);
  // They start with the clocks, which begin behind a fence.
  for (let second = 0; second < 2; second += 1) {
    for (const process of processes) await process.lookIfDue();
    time.nowUs += SECOND_US;
  }
  for (const event of events) {
    for (const process of processes) await process.lookIfDue();
    switch (event.kind) {
      case 'ask': {
        time.nowUs += event.pauseUs;
        const by = processOf(event.account, event.egress);
        const slots = (await by?.reserve(event.count)) ?? [];
        shortestUs = Math.min(shortestUs, ...slots.map((slot) => slot.endUs - slot.fromUs));
        if (by !== undefined) given.add(by.asker, slots);
        break;
      }
      case 'throttled':
        await time.throttled(event.account, event.retryAfterMs);
        break;
      case 'lose':
        await time.loseClocks(event.of);
        break;
      case 'other-server':
        time.run = 'second';
        break;
      case 'clock-back':
        time.offsetUs -= event.byMs * 1000;
        break;
      case 'clock-forward':
        time.offsetUs += event.byMs * 1000;
        break;
      case 'clock-forward-and-start':
        time.offsetUs += event.byMs * 1000;
        for (const { account, egress } of event.started) processOf(account, egress)?.restart();
        break;
    }
  }
  // Time enough to send in.
  expect(shortestUs).toBeGreaterThanOrEqual((lateMs * 1000) / 2);
  for (const [account, most] of Object.entries(accounts)) {
    expect(given.worst(`account ${account}`)).toBeLessThanOrEqual(most);
  }
  for (const [egress, most] of Object.entries(egresses)) {
    expect(given.worst(`egress ${egress}`)).toBeLessThanOrEqual(most);
  }
}

describe('the slots of any processes', () => {
  const late = fc.integer({ min: 5, max: 60 });

  it('keep every sliding second within each account and egress address', async () => {
    await fc.assert(
      fc.asyncProperty(asks(250), paces, late, (events, drawn, lateMs) => check(events, drawn, lateMs)),
      { numRuns: 50, endOnFailure: true },
    );
  });

  it('do so when Redis loses keys, fails over or sets its clock', async () => {
    await fc.assert(
      fc.asyncProperty(asks(120), mishap, asks(220), paces, late, (before, event, after, drawn, lateMs) =>
        check([...before, event, ...after], drawn, lateMs),
      ),
      { numRuns: 40, endOnFailure: true },
    );
  });

  it('follow the stricter of two configurations, from a second after its first slot', async () => {
    const time = virtualTime();
    const given = new Given();
    const lax = { account: 'a', accountQps: 100, egress: 'x', egressQps: 300, lateMs: 5 };
    const strict = { ...lax, accountQps: 60, lateMs: 50 };
    let strictFromUs = 0;
    for (let pulse = 0; pulse < 400; pulse += 1) {
      time.nowUs += 25_000;
      const by = pulse > 150 && pulse % 5 === 0 ? strict : lax;
      const { slots } = await time.reserve(by, 5);
      if (by === strict) strictFromUs ||= slots[0]?.fromUs ?? 0;
      given.add(by, slots);
    }
    expect(given.worst('account a')).toBeGreaterThan(90);
    expect(given.worst('account a', strictFromUs + SECOND_US)).toBeLessThanOrEqual(60);
  });
});

describe('a clock whose last slots are not known', () => {
  const by = { account: 'a', accountQps: 100, egress: 'x', egressQps: 100, lateMs: 25 };

  it.each<[string, (time: VirtualTime) => void | Promise<void>]>([
    ['with its keys lost', (time) => time.loseClocks(by)],
    [
      'on another server',
      (time) => {
        time.run = 'second';
      },
    ],
    [
      "with the server's time gone back by an hour",
      (time) => {
        time.offsetUs -= 3_600 * SECOND_US;
      },
    ],
  ])('%s gives none for a second, and then goes on', async (_name, lose) => {
    const time = virtualTime();
    await time.reserve(by, 1);
    time.nowUs += 2 * SECOND_US;
    expect((await time.reserve(by, 1)).slots).toHaveLength(1);
    await lose(time);
    const { slots, waitUs } = await time.reserve(by, 1);
    expect(slots).toEqual([]);
    // The furthest slot that may be out, its lateness and a second, but for how far ahead it asks.
    expect(waitUs).toBe(SECOND_US + 25_000 + (HORIZON_MS - AHEAD_MS) * 1_000);
    time.nowUs += waitUs;
    expect((await time.reserve(by, 1)).slots).toHaveLength(1);
  });
});

it('the clock of Redis going forward under a process that has just started does not bring it nearer to the calls before', async () => {
  const by = { account: 'a', accountQps: 480, egress: 'x', egressQps: 280, lateMs: 25 };
  const time = virtualTime();
  const before = new VirtualProcess(time, by);
  const after = new VirtualProcess(time, by);
  const given = new Given();
  const careless = new Given();
  for (let pulse = 0; pulse < 260; pulse += 1) {
    time.nowUs += 25_000;
    // The first one has ended; the second one's first pulse is behind the step.
    if (pulse === 160) time.offsetUs += 700_000;
    const slots = pulse < 160 ? await before.reserve(7) : await after.reserve(7);
    given.add(by, slots);
    careless.add(by, pulse === 160 ? (await time.reserve(by, 21)).slots : slots);
  }
  expect(given.worst('egress x')).toBeLessThanOrEqual(280);
  expect(given.worst('egress x', time.nowUs - SECOND_US)).toBeGreaterThan(250);
  expect(careless.worst('egress x')).toBeGreaterThan(280);
});

/** Slots a second that processes are given that pulse every 25 to 31 ms and always want more. */
async function rate(time: VirtualTime, processes: readonly Asker[], seconds: number): Promise<number> {
  const startUs = time.nowUs;
  const next = processes.map((by, at) => ({ by, atUs: startUs + at * 1_700 }));
  let given = 0;
  for (let pulse = 0; ; pulse += 1) {
    next.sort((one, other) => one.atUs - other.atUs);
    const [process] = next;
    if (process === undefined || process.atUs > startUs + seconds * SECOND_US) break;
    time.nowUs = process.atUs;
    const { slots, waitUs } = await time.reserve(process.by, 10);
    given += slots.length;
    const unlucky = slots.length === 0 ? (pulse * 7_919) % 25_000 : 0;
    process.atUs += Math.max(25_000, waitUs + unlucky) + ((pulse * 104_729) % 6_000);
  }
  return given / seconds;
}

const pulsing = (egress: string, egressQps: number, accountQps = 480): Asker => ({
  account: 'a',
  accountQps,
  egress,
  egressQps,
  lateMs: 25,
});

describe('the pace in use', () => {
  it.each([
    ['one address at its limit', [pulsing('x', 280)], 280],
    ['two addresses that together exceed the account', [pulsing('x', 280), pulsing('y', 280)], 480],
    ['two addresses that are the account', [pulsing('x', 240), pulsing('y', 240)], 480],
    ['four processes behind two addresses', ['x', 'x', 'y', 'y'].map((id) => pulsing(id, 280)), 480],
    ['an uneven crowd', ['x', 'x', 'x', 'y'].map((id) => pulsing(id, 280)), 480],
    ['two addresses far below the account', [pulsing('x', 280, 800), pulsing('y', 280, 800)], 560],
  ])('is nearly all of it for %s', async (_name, processes, qps) => {
    const time = virtualTime();
    // The first asks make the clocks, which begin behind the fence.
    for (const by of processes) await time.reserve(by, 1);
    time.nowUs += 2 * SECOND_US;
    const perSecond = await rate(time, processes, 5);
    expect(perSecond).toBeGreaterThanOrEqual(0.97 * qps);
  });

  it('is cut once by a burst of throttling answers, and recovers to the configured pace, not beyond', async () => {
    const time = virtualTime();
    const by = pulsing('x', 1_000, 100);
    await time.reserve(by, 1);
    time.nowUs += 2 * SECOND_US;
    expect(await rate(time, [by], 3)).toBeGreaterThan(95);
    for (let answer = 0; answer < 20; answer += 1) await time.throttled('a', 0);
    const cut = await rate(time, [by], 3);
    expect(cut).toBeGreaterThan(65);
    expect(cut).toBeLessThan(78);
    time.nowUs += 20 * SECOND_US;
    const recovered = await rate(time, [by], 3);
    expect(recovered).toBeGreaterThan(95);
    expect(recovered).toBeLessThanOrEqual(100);
  });

  it('never falls to nothing, however often the API throttles', async () => {
    const time = virtualTime();
    const by = pulsing('x', 1_000, 100);
    await time.reserve(by, 1);
    for (let answer = 0; answer < 60; answer += 1) {
      time.nowUs += 2 * SECOND_US;
      await time.throttled('a', 0);
    }
    expect(await rate(time, [by], 2)).toBeGreaterThanOrEqual(4);
  });

  it('is none for as long as the API says, a minute at most', async () => {
    const time = virtualTime();
    const by = pulsing('x', 280);
    await time.reserve(by, 1);
    time.nowUs += 2 * SECOND_US;
    await time.throttled('a', 3_000);
    expect(await time.reserve(by, 1)).toMatchObject({ slots: [], waitUs: 2_950_000 });
    await time.throttled('a', 3_600_000);
    expect(await time.reserve(by, 1)).toMatchObject({ slots: [], waitUs: 59_950_000 });
  });
});
