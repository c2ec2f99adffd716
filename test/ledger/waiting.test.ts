import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { certificatesOf, INSTANCE, LEASE_MS, LedgerRoom } from './ledger-room.ts';

const room = new LedgerRoom();
const { redis, ledger } = room;
beforeEach(async () => {
  const keys = await room.keysWith('');
  if (keys.length > 0) await redis.unlink(keys);
});
afterAll(() => room.cleanup());

const park = (batch: string, ordinals: readonly number[], instanceId = INSTANCE): Promise<void> =>
  ledger.waiting.park(batch, instanceId, ordinals);

describe('a claim', () => {
  it('takes what may continue, the longest due first, as many as are wanted, and each item once', async () => {
    const batch = await room.batchOf(certificatesOf(6));
    for (const n of [4, 1, 3]) await redis.zadd(ledger.keys.waiting(INSTANCE), 1_000 - n, `${batch} ${n}`);
    const run = await room.job();
    await room.handBack(batch, 0, run, { kind: 'wait', delayMs: LEASE_MS });
    const first = await room.claim(2);
    expect(first.claims.map(({ n }) => n)).toEqual([4, 3]);
    // One more could be had at once.
    expect(first.nextInMs).toBe(0);
    const second = await room.claim();
    expect(second.claims.map(({ n }) => n)).toEqual([1]);
    expect(second.nextInMs).toBeGreaterThan(LEASE_MS - 60_000);
    expect(second.nextInMs).toBeLessThanOrEqual(LEASE_MS);
    expect((await room.claim()).claims).toEqual([]);
    expect((await room.waiting()).get(`${batch} 1`)).toBe(second.claims[0]?.score);
  });

  it('says nothing of when to come again where nothing waits, and takes nothing where nothing is wanted', async () => {
    expect(await room.claim()).toEqual({ claims: [] });
    expect(await ledger.waiting.claim(new Map(), LEASE_MS)).toEqual({ claims: [] });
    const batch = await room.batchOf(certificatesOf(1));
    await park(batch, [0]);
    expect(await room.claim(0)).toEqual({ claims: [], nextInMs: 0 });
  });

  it('names the instance of each item, of several at once', async () => {
    const instances = ['post-cn-a', 'post cn:b'];
    const batch = await room.batchOf(certificatesOf(4, instances));
    await park(batch, [0, 2], instances[0]);
    await park(batch, [1, 3], instances[1]);
    const most = new Map(instances.map((instanceId, at) => [instanceId, at + 1]));
    const { claims } = await ledger.waiting.claim(most, LEASE_MS);
    expect(claims.map(({ n, instanceId }) => [n, instanceId])).toEqual([
      [0, 'post-cn-a'],
      [1, 'post cn:b'],
      [3, 'post cn:b'],
    ]);
    expect(await ledger.waiting.counts(instances)).toEqual([2, 2]);
  });

  it('that has passed leaves its item to the next one, so nothing is lost with the process that had it', async () => {
    const batch = await room.batchOf(certificatesOf(1));
    await park(batch, [0]);
    await room.claim(1, INSTANCE, -2);
    const { claims } = await room.claim();
    expect(claims.map(({ n }) => n)).toEqual([0]);
  });

  it('takes nothing of a paused batch, which waits as one, and what else there is', async () => {
    const [paused, running] = [await room.batchOf(certificatesOf(300)), await room.batchOf(certificatesOf(2))];
    await park(paused, [...Array(300).keys()]);
    await park(running, [0, 1]);
    await room.ledger.batches.change(paused, 'pause');
    const { claims, nextInMs } = await room.claim();
    expect(claims.map(({ batch, n }) => [batch, n])).toEqual([
      [running, 0],
      [running, 1],
    ]);
    expect(nextInMs).toBeGreaterThan(0);
    // All of them were put off in that one step.
    const nowMs = Date.now();
    const early = [...(await room.waiting())].filter(([member, score]) => member.startsWith(paused) && score <= nowMs);
    expect(early).toEqual([]);
  });
});

describe('items that nothing holds', () => {
  it('wait from now on, but for those that are settled or wait already', async () => {
    const batch = await room.batchOf(certificatesOf(2_500));
    await room.settle(batch, 1, 'revoked');
    await room.handBack(batch, 2, await room.job(), { kind: 'wait', delayMs: LEASE_MS });
    await park(batch, [...Array(2_500).keys()]);
    const waiting = await room.waiting();
    expect(waiting.size).toBe(2_499);
    const soon = [...waiting].filter(([, score]) => score < Date.now() + LEASE_MS / 2);
    expect(soon).toHaveLength(2_498);
    const items = [0, 1, 2, 2_499].map((n) => ({ n, instanceId: INSTANCE }));
    const elsewhere = { n: 0, instanceId: 'post-cn-b' };
    expect(await ledger.waiting.areWaiting(batch, items)).toEqual([true, false, true, true]);
    expect(await ledger.waiting.areWaiting(batch, [elsewhere])).toEqual([false]);
    expect(await ledger.waiting.areWaiting(batch, [])).toEqual([]);
  });
});

it('holds an item until it is settled, through every try', async () => {
  const batch = await room.batchOf(certificatesOf(1));
  await park(batch, [0]);
  const member = `${batch} 0`;
  for (let calls = 1; calls <= 3; calls += 1) {
    const run = (await room.claimRuns(batch))(0);
    expect(await room.note(batch, 0, run)).toMatch(/^go/);
    const attempt = { failures: calls, calls, effectUnknown: false };
    expect(await room.handBack(batch, 0, run, { kind: 'wait', delayMs: 0, attempt })).toBe('waiting');
    expect((await room.waiting()).has(member)).toBe(true);
  }
  const run = (await room.claimRuns(batch))(0);
  expect(await room.note(batch, 0, run)).toBe('go 3 3 known');
  expect(await room.settle(batch, 0, 'revoked', { run, isUncalled: false })).toBe('drained');
  expect((await room.waiting()).has(member)).toBe(false);
});
