import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { slotOf } from './fleet.ts';
import { countOf, standing } from './lua-notes.ts';
import { expectOneNoteEach, names, NotedFleet, paceOf, request, takeAll } from './noted-fleet.ts';

const fleet = new NotedFleet();
const PACES = { held: paceOf('held', 10), many: paceOf('many', 10), unread: paceOf('unread') };

beforeAll(() => fleet.prime(Object.values(PACES)));
afterEach(() => fleet.closeAll());
afterAll(() => fleet.keys.cleanup());

describe('after a change of signals', () => {
  it('all who wait are looked at, also where no slot is to be had', async () => {
    const member = await fleet.openOne(PACES.held);
    const first = await slotOf(member.limiter, request('first'));
    await first.report({ kind: 'throttled', retryAfterMs: 60_000 });
    const calls = names(300);
    const all = takeAll(member, calls);
    const before = await fleet.given('held');
    await member.notes.judge(calls.slice(0, 299), 'paused');
    await fleet.signal();
    await vi.waitUntil(() => member.limiter.waiting === 1, { timeout: 60_000 });
    await member.limiter.close();
    const grants = await all;
    expect(new Set(grants.slice(0, 299).map(({ kind }) => kind))).toEqual(new Set(['refused']));
    expect(grants[299]).toEqual({ kind: 'closed' });
    expect(await fleet.given('held')).toBe(before);
    expect(standing(await member.notes.log())).toEqual(new Set(['first']));
  });
});

describe('a look at all who wait', () => {
  it('is made again where it failed, and covers as many as a worker has in hand', async () => {
    let pulses = 0;
    const member = await fleet.openOne({ ...PACES.many, onPulse: () => (pulses += 1) });
    await (await slotOf(member.limiter, request('first'))).report({ kind: 'throttled', retryAfterMs: 60_000 });
    const calls = names(1_000);
    const all = takeAll(member, calls);
    await member.notes.judge(calls, 'cancelled');
    const log = `${fleet.notesPrefix('many')}:log`;
    await fleet.keys.client.set(log, 'not a list');
    await member.heard(await fleet.signal());
    // The pulse after the one in which it was heard has asked, and failed.
    const heardAt = pulses;
    await vi.waitUntil(() => pulses > heardAt + 2, { timeout: 60_000 });
    await fleet.keys.client.del(log);
    const deletedAt = pulses;
    expect(new Set((await all).map(({ kind }) => kind))).toEqual(new Set(['refused']));
    // A pulse without a look would ask for a few of them.
    expect(pulses - deletedAt).toBeLessThan(20);
  });
});

describe('where the halts cannot be read after a change of signals', () => {
  it('nobody leaves, and each caller is told once', async () => {
    const member = await fleet.openOne(PACES.unread);
    await slotOf(member.limiter, request('first'));
    const halts = `${fleet.keys.prefix}:halts`;
    await fleet.keys.client.hset(halts, 'unreadable', '{');
    await fleet.signal();
    const calls = names(20);
    await member.notes.judge(calls.slice(0, 10), 'settled');
    const taken = calls.map((call) => member.limiter.take(request(call)));
    expect(new Set((await Promise.all(taken.slice(0, 10))).map(({ kind }) => kind))).toEqual(new Set(['refused']));
    const looked = (await member.notes.log()).length;
    // Some pulses in which nobody leaves.
    await vi.waitUntil(async () => countOf(await member.notes.log(), 'back') > 20, { timeout: 60_000 });
    expect(member.limiter.waiting).toBe(10);
    await fleet.keys.client.hdel(halts, 'unreadable');
    await Promise.all(taken);
    const again = (await member.notes.log()).slice(looked).filter(({ call }) => calls.indexOf(call) < 10);
    expect(again.filter(({ kind, call }) => kind === 'looked' && call !== 'first')).toEqual([]);
    expect(member.limiter.waiting).toBe(0);
    await expectOneNoteEach(member, ['first', ...calls.slice(10)]);
  });
});
