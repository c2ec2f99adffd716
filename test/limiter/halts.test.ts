import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Grant } from '../../src/limiter/contract.ts';
import { readHalts } from '../../src/limiter/halt-store.ts';
import { Fleet, type Member, type MemberOptions } from './fleet.ts';

const fleet = new Fleet();
const account = (name: string): MemberOptions => ({
  account: { name, qps: 400 },
  egress: { id: 'shared', qps: 4_000 },
  probeIntervalMs: name === 'part' ? 30_000 : 1_000,
});
const names = ['whole', 'part', 'probed', 'both', 'late'] as const;

beforeAll(() => fleet.prime(names.map(account)));
afterEach(() => fleet.closeAll());
afterAll(() => fleet.keys.cleanup());

const two = (name: (typeof names)[number]): Promise<[Member, Member]> =>
  Promise.all([fleet.open(account(name)), fleet.open(account(name))]);

const signals = async (): Promise<number> => Number(await fleet.keys.client.get(`${fleet.keys.prefix}:signals`));

/** What many callers of both processes are told at one moment. */
function askAll(members: readonly Member[], instanceId: string): Promise<Grant[]> {
  return Promise.all(members.flatMap(({ limiter }) => Array.from({ length: 10 }, () => limiter.take(instanceId))));
}

const slots = (grants: readonly Grant[]): Grant[] => grants.filter(({ kind }) => kind === 'slot');

async function untilProbeDue({ limiter }: Member, instanceId: string): Promise<void> {
  const grant = await limiter.take(instanceId);
  if (grant.kind === 'halted') await delay(grant.retryInMs + 50);
}

describe('a halted account', () => {
  it('stops in every process, those who wait included, and is marked once', async () => {
    const [first, second] = await two('whole');
    // More than can have gone when the halt becomes known.
    const waiting = Array.from({ length: 2_000 }, () => second.limiter.take('i'));
    expect(await first.limiter.halt('account', 'i', 'InvalidAccessKeyId.NotFound', 'no such key')).toBe(true);
    expect(await first.limiter.halt('account', 'i', 'InvalidAccessKeyId.NotFound', 'no such key')).toBe(false);
    const told = { kind: 'halted', scope: 'account', code: 'InvalidAccessKeyId.NotFound', message: 'no such key' };
    expect(await first.limiter.take('i')).toMatchObject(told);
    expect((await Promise.all(waiting)).at(-1)).toMatchObject(told);
    const [halt] = await readHalts(fleet.keys.client, fleet.keys.prefix, 'whole');
    expect(halt).toMatchObject({ account: 'whole', code: told.code, message: told.message });
    expect(halt).not.toHaveProperty('instanceId');
    expect((halt?.nextProbeAt ?? 0) - (halt?.since ?? 0)).toBe(1_000);
  });

  it('is not lifted by a call that was on its way when it was halted', async () => {
    const [first] = await two('late');
    expect((await first.limiter.take('i')).kind).toBe('slot');
    await first.limiter.halt('account', 'i', 'code', 'message');
    expect(await first.limiter.lift('i')).toBe(false);
    expect((await first.limiter.take('i')).kind).toBe('halted');
  });

  it('lets one probe through for all processes, and goes on when it succeeds', async () => {
    const [first, second] = await two('probed');
    await first.limiter.halt('account', 'i', 'code', 'message');
    await second.heard(await signals());
    await untilProbeDue(first, 'i');
    const grants = await askAll([first, second], 'i');
    expect(slots(grants)).toMatchObject([{ kind: 'slot', probe: true }]);
    const retries = grants.flatMap((grant) => (grant.kind === 'halted' ? [grant.retryInMs] : []));
    expect(Math.min(...retries)).toBeGreaterThanOrEqual(250);
    const prober = grants.findIndex(({ kind }) => kind === 'slot') < 10 ? first : second;
    const other = prober === first ? second : first;
    expect(await other.limiter.lift('i')).toBe(false);
    expect(await prober.limiter.lift('i')).toBe(true);
    expect(await readHalts(fleet.keys.client, fleet.keys.prefix, 'probed')).toEqual([]);
    await other.heard(await signals());
    expect(slots(await askAll([first, second], 'i'))).toEqual(
      Array.from({ length: 20 }, () => expect.objectContaining({ probe: false })),
    );
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
      expect(await limiter.take('bad:"]')).toMatchObject({
        kind: 'halted',
        scope: 'instance',
        code: 'InstanceNotExist',
      });
      expect((await limiter.take('good')).kind).toBe('slot');
    }
    expect(await readHalts(fleet.keys.client, fleet.keys.prefix, 'part')).toMatchObject([{ instanceId: 'bad:"]' }]);
  });

  it('is covered by the probe of its halted account', async () => {
    const [first] = await two('both');
    await first.limiter.halt('instance', 'i', 'code', 'message');
    await first.limiter.halt('account', 'i', 'code', 'message');
    await untilProbeDue(first, 'i');
    expect(await first.limiter.take('i')).toMatchObject({ kind: 'slot', probe: true });
    expect(await first.limiter.lift('i')).toBe(true);
    expect(await readHalts(fleet.keys.client, fleet.keys.prefix, 'both')).toEqual([]);
  });
});
