import { EventEmitter, once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { worstWindow } from '../../src/core/pace.ts';
import { openLimiter } from '../../src/limiter/limiter.ts';
import { readPace } from '../../src/limiter/pace/read-pace.ts';
import { ANY, Fleet, slotOf, type Member } from './fleet.ts';

const fleet = new Fleet();
const pace = (account: string, egress: string, qps = 400, egressQps = qps) => ({
  account: { name: account, qps },
  egress: { id: egress, qps: egressQps },
});
const CROWD_X = pace('crowd', 'x', 200, 120);
const CROWD_Y = pace('crowd', 'y', 200, 120);
/** Slots that outlive any stall of a busy machine: a caller whose slot ended unused goes to the back of those that got theirs. */
const LINE = { ...pace('line', 'line'), lateMs: 2_000 };
const LOSS = pace('loss', 'loss');
const SLOWED = pace('slowed', 'slowed');

beforeAll(() => fleet.prime([CROWD_X, CROWD_Y, LINE, LOSS, SLOWED]));
afterEach(() => fleet.closeAll());
afterAll(() => fleet.keys.cleanup());

/** Calls at once when granted, as often as `until` allows; notes when. */
async function callAgain(member: Member, times: number[], until: () => boolean): Promise<void> {
  while (!until()) {
    const grant = await member.limiter.take(ANY);
    const nowMs = performance.now();
    if (grant.kind === 'closed') return;
    if (grant.kind === 'slot' && nowMs <= grant.notAfterMs) times.push(nowMs);
  }
}

function stall(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

describe('limiters that share an account and two addresses', () => {
  it('keep every sliding second, with event loops that stall', async () => {
    const x: number[] = [];
    const y: number[] = [];
    const isEnough = (): boolean => x.length + y.length >= 450;
    const crowd = [
      ...(await Promise.all([fleet.open(CROWD_X), fleet.open(CROWD_X)])).map((member) => ({ member, times: x })),
      ...(await Promise.all([fleet.open(CROWD_Y), fleet.open(CROWD_Y)])).map((member) => ({ member, times: y })),
    ];
    const stalls = setInterval(() => stall(500), 900);
    await Promise.all(
      crowd.flatMap(({ member, times }) => Array.from({ length: 30 }, () => callAgain(member, times, isEnough))),
    );
    clearInterval(stalls);
    expect(worstWindow([...x, ...y])).toBeLessThanOrEqual(200);
    expect(worstWindow(x)).toBeLessThanOrEqual(120);
    expect(worstWindow(y)).toBeLessThanOrEqual(120);
  });

  it('are slowed and stopped together by a throttling answer to one', async () => {
    const [hit, other] = await Promise.all([fleet.open(SLOWED), fleet.open(SLOWED)]);
    const grant = await slotOf(hit.limiter);
    const startMs = performance.now();
    expect(await grant.report({ kind: 'throttled', retryAfterMs: 600 })).toBe('nothing');
    expect((await other.limiter.take(ANY)).kind).toBe('slot');
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(600);
    const seen = await readPace(fleet.keys.client, fleet.keys.prefix, { account: 'slowed' });
    expect(seen).toMatchObject({ qps: 400, heldForMs: 0 });
    expect(seen?.factor).toBeLessThan(0.9);
    expect(seen?.given).toBeGreaterThan(0);
    expect(await readPace(fleet.keys.client, fleet.keys.prefix, { egress: 'nobody' })).toBeUndefined();
  });
});

describe('the callers of a limiter', () => {
  it('go first come, first served, the urgent ahead', async () => {
    const { limiter } = await fleet.open(LINE);
    const order: number[] = [];
    const take = async (name: number, isUrgent: boolean): Promise<void> => {
      await limiter.take({ ...ANY, isUrgent });
      order.push(name);
    };
    const all = [take(3, false), take(4, false), take(1, true), take(5, false), take(2, true)];
    expect(limiter.waiting).toBe(5);
    await Promise.all(all);
    expect(order).toEqual([1, 2, 3, 4, 5]);
    expect(limiter.waiting).toBe(0);
  });

  it('are told when it closes', async () => {
    const { limiter } = await fleet.open(pace('new', 'new'));
    const waiting = [limiter.take(ANY), limiter.take({ ...ANY, isUrgent: true })];
    await limiter.close();
    expect(await Promise.all([...waiting, limiter.take(ANY)])).toEqual(
      Array.from({ length: 3 }, () => ({ kind: 'closed' })),
    );
  });

  it('get nothing while Redis is unreachable', async () => {
    const redis = new Redis({ path: '/nowhere/redis.sock', lazyConnect: true, replyMapping: 'legacy' });
    const notices = new EventEmitter();
    const noticed = once(notices, 'notice');
    const options = { redis, prefix: '{none}', ...LINE };
    const limiter = openLimiter({ ...options, onNotice: (notice) => notices.emit('notice', notice) });
    const granted = limiter.take(ANY);
    expect(await noticed).toMatchObject([{ kind: 'redis-unavailable', count: 1 }]);
    await limiter.close();
    expect(await granted).toEqual({ kind: 'closed' });
  });
});

describe('a lost connection', () => {
  it('voids the slots in hand', async () => {
    const member = await fleet.open(LOSS);
    let isCut = false;
    let isDone = false;
    const whileCut: number[] = [];
    let granted = 0;
    member.redis.on('close', () => (isCut = true));
    member.redis.on('ready', () => (isCut = false));
    const call = async (): Promise<void> => {
      for (;;) {
        const { kind } = await member.limiter.take(ANY);
        if (isDone || kind !== 'slot') return;
        granted += 1;
        if (isCut) whileCut.push(performance.now());
      }
    };
    const callers = Array.from({ length: 60 }, call);
    // Calls leave together, so at a moment of chance it has slots in hand or none.
    for (let cuts = 0; cuts < 20 && !member.notices.some(({ kind }) => kind === 'slots-void'); cuts += 1) {
      const before = granted;
      await vi.waitFor(() => expect(granted).toBeGreaterThan(before + 40), 60_000);
      await delay(Math.random() * 60);
      const id = await member.redis.client('ID');
      // Not by `once` of Node, which fails with the client's error when a write meets the cut.
      const back = new Promise((resolve) => member.redis.once('ready', resolve));
      await fleet.keys.client.client('KILL', 'ID', id);
      await back;
    }
    isDone = true;
    await Promise.all(callers);
    expect(whileCut).toEqual([]);
    expect(member.notices.map(({ kind }) => kind)).toContain('slots-void');
  });
});
