import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { CallRequest, Grant, SlotGrant } from '../../../src/limiter/contract.ts';
import { markOf, openHaltStore, readHalts } from '../../../src/limiter/halts/halt-store.ts';
import { Fleet, slotOf, type Member, type MemberOptions } from '../fleet.ts';
import { SECOND_US, VirtualTime } from '../pace/virtual-time.ts';

const fleet = new Fleet();
const account = (name: string): MemberOptions => ({
  account: { name, qps: 400 },
  egress: { id: 'shared', qps: 4_000 },
  probeIntervalMs: ['part', 'unused', 'leaving'].includes(name) ? 30_000 : 1_000,
});
const names = ['whole', 'part', 'probed', 'both', 'late', 'unused', 'leaving', 'clock'] as const;

beforeAll(() => fleet.prime(names.map(account)));
afterEach(() => fleet.closeAll());
afterAll(() => fleet.keys.cleanup());

const two = (name: (typeof names)[number]): Promise<[Member, Member]> =>
  Promise.all([fleet.open(account(name)), fleet.open(account(name))]);

const signals = async (): Promise<number> => Number(await fleet.keys.client.get(`${fleet.keys.prefix}:signals`));

/** What many callers of both processes are told at one moment. */
function askAll(members: readonly Member[], instanceId: string): Promise<Grant<never>[]> {
  return Promise.all(members.flatMap(({ limiter }) => Array.from({ length: 10 }, () => limiter.take(of(instanceId)))));
}

const slots = (grants: readonly Grant<never>[]): SlotGrant<never>[] => grants.filter((grant) => grant.kind === 'slot');

const of = (instanceId: string): CallRequest<never> => ({ instanceId, isUrgent: false });

async function untilProbeDue({ limiter }: Member, instanceId: string): Promise<void> {
  const grant = await limiter.take(of(instanceId));
  if (grant.kind === 'halted') await delay(grant.retryInMs + 50);
  // It was due already: the next caller has it in this one's place.
  if (grant.kind === 'slot') await grant.report({ kind: 'void' });
}

describe('a halted account', () => {
  it('stops in every process, those who wait included, and is marked once', async () => {
    const [first, second] = await two('whole');
    // More than can have gone when the halt becomes known.
    const waiting = Array.from({ length: 2_000 }, () => second.limiter.take(of('i')));
    expect(await first.limiter.halt('account', 'i', 'InvalidAccessKeyId.NotFound', 'no such key')).toBe(true);
    expect(await first.limiter.halt('account', 'i', 'InvalidAccessKeyId.NotFound', 'no such key')).toBe(false);
    const told = { kind: 'halted', scope: 'account', code: 'InvalidAccessKeyId.NotFound', message: 'no such key' };
    expect(await first.limiter.take(of('i'))).toMatchObject(told);
    expect((await Promise.all(waiting)).at(-1)).toMatchObject(told);
    const [halt] = await readHalts(fleet.keys.client, fleet.keys.prefix, 'whole');
    expect(halt).toMatchObject({ account: 'whole', code: told.code, message: told.message });
    expect(halt).not.toHaveProperty('instanceId');
    expect((halt?.nextProbeAt ?? 0) - (halt?.since ?? 0)).toBe(1_000);
  });

  it('has slots for its probes alone, whatever the processes know', async () => {
    const time = new VirtualTime(fleet.keys.client, fleet.keys.prefix);
    const by = { account: 'scripted', accountQps: 100, egress: 'scripted', egressQps: 100, lateMs: 25 };
    await time.reserve(by, 1);
    time.nowUs += 2 * SECOND_US;
    expect((await time.reserve(by, 3)).slots).toHaveLength(3);
    const { client: redis, prefix } = fleet.keys;
    const halts = openHaltStore({ redis, prefix, lateMs: 25, ...account('scripted') }, 1_000);
    await halts.mark('account', 'i', 'code', 'message');
    time.nowUs += SECOND_US;
    expect((await time.reserve(by, 3)).slots).toEqual([]);
    expect((await time.reserve(by, 3, 1)).slots).toHaveLength(1);
  });

  it('is not lifted by a call that was on its way when it was halted', async () => {
    const [first] = await two('late');
    const onItsWay = await slotOf(first.limiter, of('i'));
    await first.limiter.halt('account', 'i', 'code', 'message');
    expect(await onItsWay.report({ kind: 'proved' })).toBe('nothing');
    expect((await first.limiter.take(of('i'))).kind).toBe('halted');
  });

  it('lets one probe through for all processes, and goes on when it succeeds', async () => {
    const [first, second] = await two('probed');
    const earlier = await Promise.all([slotOf(first.limiter, of('i')), slotOf(second.limiter, of('i'))]);
    await first.limiter.halt('account', 'i', 'code', 'message');
    await second.heard(await signals());
    await untilProbeDue(first, 'i');
    const grants = await askAll([first, second], 'i');
    expect(slots(grants)).toMatchObject([{ kind: 'slot', isProbe: true }]);
    const retries = grants.flatMap((grant) => (grant.kind === 'halted' ? [grant.retryInMs] : []));
    expect(Math.min(...retries)).toBeGreaterThanOrEqual(250);
    const prober = grants.findIndex(({ kind }) => kind === 'slot') < 10 ? first : second;
    const other = prober === first ? second : first;
    for (const grant of earlier) expect(await grant.report({ kind: 'proved' })).toBe('nothing');
    expect(await slots(grants)[0]?.report({ kind: 'proved' })).toBe('lifted');
    expect(await readHalts(fleet.keys.client, fleet.keys.prefix, 'probed')).toEqual([]);
    await other.heard(await signals());
    expect(slots(await askAll([first, second], 'i'))).toEqual(
      Array.from({ length: 20 }, () => expect.objectContaining({ isProbe: false })),
    );
  });
});

describe('a probe', () => {
  it('is not waited for beyond an interval where the clock of Redis has gone back', async () => {
    const [first] = await two('clock');
    await first.limiter.halt('account', 'i', 'code', 'message');
    await fleet.keys.client.hset(`${fleet.keys.prefix}:probes`, markOf('clock'), Date.now() + 3_600_000);
    await fleet.keys.client.incr(`${fleet.keys.prefix}:signals`);
    await first.heard(await signals());
    await untilProbeDue(first, 'i');
    expect(await first.limiter.take(of('i'))).toMatchObject({ kind: 'slot', isProbe: true });
  });
});

describe('a probe that tells nothing', () => {
  const nextProbeAt = async (name: (typeof names)[number]): Promise<number> => {
    const [halt] = await readHalts(fleet.keys.client, fleet.keys.prefix, name);
    return halt?.nextProbeAt ?? Number.NaN;
  };

  /** Two processes that know of a halt whose probe is due; the one after it only half a minute later. */
  async function haltedTwo(name: 'unused' | 'leaving'): Promise<[Member, Member]> {
    const { limiter } = await fleet.open({ ...account(name), probeIntervalMs: 1 });
    await limiter.halt('account', 'i', 'code', 'message');
    const members = await two(name);
    for (const member of members) await member.heard(await signals());
    return members;
  }

  it('is given to the next caller, in the same process or another', async () => {
    const [first, second] = await haltedTwo('unused');
    let probe = await slotOf(first.limiter, of('i'));
    expect(probe.isProbe).toBe(true);
    expect((await second.limiter.take(of('i'))).kind).toBe('halted');
    for (const next of [first, second, first]) {
      const taken = await nextProbeAt('unused');
      expect(await probe.report({ kind: 'void' })).toBe('nothing');
      expect(await nextProbeAt('unused')).toBeLessThan(taken);
      await next.heard(await signals());
      probe = await slotOf(next.limiter, of('i'));
      expect(probe.isProbe).toBe(true);
    }
    expect(await probe.report({ kind: 'proved' })).toBe('lifted');
    expect(await readHalts(fleet.keys.client, fleet.keys.prefix, 'unused')).toEqual([]);
  });

  it('is not given back twice, nor in place of a later one', async () => {
    const [first, second] = await haltedTwo('unused');
    const former = await slotOf(first.limiter, of('i'));
    // Half a minute later another process probes.
    await fleet.keys.client.del(`${fleet.keys.prefix}:probes`);
    const later = await slotOf(second.limiter, of('i'));
    expect([former.isProbe, later.isProbe]).toEqual([true, true]);
    const taken = await nextProbeAt('unused');
    await former.report({ kind: 'void' });
    expect(await nextProbeAt('unused')).toBe(taken);
    // It has none any more, and can prove nothing.
    expect(await former.report({ kind: 'proved' })).toBe('nothing');
    expect(await later.report({ kind: 'proved' })).toBe('lifted');
    await later.report({ kind: 'void' });
    expect(await readHalts(fleet.keys.client, fleet.keys.prefix, 'unused')).toEqual([]);
  });

  it('because its worker leaves is another one’s at once', async () => {
    // No slot for a while: the prober waits.
    const { limiter } = await fleet.open(account('leaving'));
    await (await slotOf(limiter, of('i'))).report({ kind: 'throttled', retryAfterMs: 60_000 });
    const [first, second] = await haltedTwo('leaving');
    const leaving = first.limiter.take(of('i'));
    await expect.poll(() => first.limiter.waiting).toBe(1);
    expect((await second.limiter.take(of('i'))).kind).toBe('halted');
    await first.limiter.close();
    expect(await leaving).toEqual({ kind: 'closed' });
    await second.heard(await signals());
    void second.limiter.take(of('i'));
    await expect.poll(() => second.limiter.waiting).toBe(1);
  });

  it('because its worker leaves while it asks for the slot is another one’s at once', async () => {
    await haltedTwo('leaving');
    let closed: Promise<void> | undefined;
    const { limiter } = await fleet.open({
      ...account('leaving'),
      onPulse() {
        closed ??= limiter.close();
      },
    });
    await vi.waitUntil(() => limiter.admits('i') === 'probe', { timeout: 60_000 });
    expect(await limiter.take(of('i'))).toEqual({ kind: 'closed' });
    await closed;
    expect(await nextProbeAt('leaving')).toBeLessThan(Date.now() + 10_000);
  });

  it('is never waited for in a limiter that was closed meanwhile', async () => {
    const [first] = await haltedTwo('leaving');
    // The try is on its way to Redis.
    const asked = first.limiter.take(of('i'));
    await first.limiter.close();
    expect(await asked).toEqual({ kind: 'closed' });
    await expect.poll(() => nextProbeAt('leaving')).toBeLessThan(Date.now() + 10_000);
  });
});

describe('a halted instance', () => {
  it('stops alone', async () => {
    const [first, second] = await two('part');
    const before = await signals();
    await first.limiter.halt('instance', 'bad:"]', 'InstanceNotExist', 'gone');
    expect(await signals()).toBe(before + 1);
    await second.heard(before + 1);
    for (const { limiter } of [first, second]) {
      expect(await limiter.take(of('bad:"]'))).toMatchObject({
        kind: 'halted',
        scope: 'instance',
        code: 'InstanceNotExist',
      });
      expect((await limiter.take(of('good'))).kind).toBe('slot');
    }
    expect(await readHalts(fleet.keys.client, fleet.keys.prefix, 'part')).toMatchObject([{ instanceId: 'bad:"]' }]);
  });

  it('is covered by the probe of its halted account', async () => {
    const [first] = await two('both');
    await first.limiter.halt('instance', 'i', 'code', 'message');
    await first.limiter.halt('account', 'i', 'code', 'message');
    await untilProbeDue(first, 'i');
    const probe = await slotOf(first.limiter, of('i'));
    expect(probe.isProbe).toBe(true);
    expect(await probe.report({ kind: 'proved' })).toBe('lifted');
    expect(await readHalts(fleet.keys.client, fleet.keys.prefix, 'both')).toEqual([]);
  });
});
