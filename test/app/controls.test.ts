import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { changePriority } from '../../src/app/control.ts';
import { loweredAccounts, lowerPace, restorePace } from '../../src/app/pace.ts';
import { paceHistory } from '../../src/app/pace-history.ts';
import { accountsOverview } from '../../src/app/paces.ts';
import { startAll, stopAll, stopOf, type StartPreview } from '../../src/app/stop.ts';
import type { Store } from '../../src/app/store.ts';
import { auditLines } from '../../src/app/audit.ts';
import { listWorkers } from '../../src/app/workers.ts';
import { samplesKey } from '../../src/limiter/contract.ts';
import { takeSample } from '../../src/limiter/pace/samples.ts';
import { WorkerRegistry } from '../../src/queue/worker/worker-registry.ts';
import { certificatesOf } from '../ledger/ledger-room.ts';
import { AppRoom } from './app-room.ts';

const room = new AppRoom();
const account = 'default';
/** Of the configuration. */
const QPS = 480;

afterEach(async () => {
  const store = await room.store();
  await startAll(store);
  await restorePace(store, account);
});
afterAll(() => room.cleanup());

async function lastOnRecord(store: Store): Promise<unknown> {
  let last: unknown;
  for await (const { entry } of auditLines(store, {})) last = entry;
  return last;
}

async function strict(): Promise<Store> {
  const store = await room.store();
  return { ...store, config: { ...store.config, audit: { requireReason: true } } };
}

describe('a lowered pace', () => {
  it('goes downwards only, for a time that has an end, and is on record', async () => {
    const store = await room.store();
    const lower = (qps: number, forSeconds = 60) => lowerPace(store, { account, qps, forSeconds });
    expect(await lower(QPS)).toEqual({ kind: 'not-lower', configuredQps: QPS });
    expect(await lower(QPS + 1)).toEqual({ kind: 'not-lower', configuredQps: QPS });
    for (const qps of [0, -1, 1.5, Number.NaN]) expect(await lower(qps)).toEqual({ kind: 'bad-qps' });
    for (const seconds of [0, -1, 1.5, 7 * 86_400 + 1])
      expect(await lower(10, seconds)).toMatchObject({ kind: 'bad-time' });
    expect(await lowerPace(store, { account: 'nobody', qps: 1, forSeconds: 1 })).toEqual({
      kind: 'no-account',
      accounts: [account],
    });
    expect(await loweredAccounts(store)).toEqual([]);
    // A pace may be lowered in an emergency, so it needs no reason.
    const lowered = await lowerPace(await strict(), { account, qps: 100, forSeconds: 3_600 }, { requestedBy: 'ada' });
    expect(lowered).toMatchObject({ kind: 'lowered', qps: 100, configuredQps: QPS });
    expect(await lastOnRecord(store)).toMatchObject({
      event: 'pace',
      requestedBy: 'ada',
      reason: 'account default: lowered to 100 calls a second for 3600 s',
      counts: { qps: 100, forSeconds: 3_600 },
    });
    const untilMs = lowered.kind === 'lowered' ? lowered.untilMs : 0;
    expect(await loweredAccounts(store)).toEqual([{ account, qps: 100, untilMs }]);
    // It may be raised again, as long as it stays below the configured one.
    expect(await lower(200)).toMatchObject({ kind: 'lowered' });
    expect(await accountsOverview(store)).toMatchObject({
      stopped: null,
      accounts: [{ account, configuredQps: QPS, inForceQps: 200, lowered: { qps: 200 }, isAttended: false }],
    });
  });

  it('ends early, with a reason where one is wanted', async () => {
    const store = await room.store();
    expect(await restorePace(store, account)).toEqual({ kind: 'not-lowered', configuredQps: QPS });
    await lowerPace(store, { account, qps: 1, forSeconds: 60 });
    expect(await restorePace(await strict(), account)).toEqual({ kind: 'reason-required' });
    expect(await restorePace(store, account, { reason: 'the sale is over' })).toMatchObject({ kind: 'restored' });
    expect(await lastOnRecord(store)).toMatchObject({
      reason: 'account default: back to 480 calls a second: the sale is over',
    });
    expect(await loweredAccounts(store)).toEqual([]);
    expect(await restorePace(store, 'nobody')).toMatchObject({ kind: 'no-account' });
  });
});

describe('the stop of all calls', () => {
  it('needs no reason; the start does, and asks', async () => {
    const store = await strict();
    await room.batchOf(certificatesOf(3));
    expect(await startAll(store)).toEqual({ kind: 'not-stopped' });
    expect(await stopAll(store, { requestedBy: 'ada' })).toMatchObject({ kind: 'stopped', isNew: true });
    expect(await stopAll(store, { requestedBy: 'bob' })).toMatchObject({ isNew: false, stop: { requestedBy: 'ada' } });
    expect(await accountsOverview(store)).toMatchObject({
      stopped: { requestedBy: 'ada' },
      accounts: [{ inForceQps: 0 }],
    });
    expect(await startAll(store)).toEqual({ kind: 'reason-required' });
    const asked: StartPreview[] = [];
    const deed = { reason: 'checked', confirm: async (look: StartPreview) => asked.push(look) > 1 };
    expect(await startAll(store, deed)).toEqual({ kind: 'unconfirmed' });
    expect(asked).toMatchObject([{ stop: { requestedBy: 'ada' }, running: 1, pending: 3 }]);
    expect(await stopOf(store)).toMatchObject({ requestedBy: 'ada' });
    expect(await startAll(store, deed)).toMatchObject({ kind: 'started', stop: { requestedBy: 'ada' } });
    expect(await stopOf(store)).toBeUndefined();
  });

  it('is not ended by an operator who was asked about an earlier one', async () => {
    const store = await room.store();
    await stopAll(store);
    const confirm = async (): Promise<boolean> => {
      await startAll(store);
      await stopAll(store, { reason: 'again' });
      return true;
    };
    expect(await startAll(store, { confirm })).toEqual({ kind: 'another-stop' });
    expect(await stopOf(store)).toMatchObject({ reason: 'again' });
  });
});

it('the priority of a batch that is at work changes where it stands among the others', async () => {
  const store = await room.store();
  const first = await room.batchOf(certificatesOf(1));
  const second = await room.batchOf(certificatesOf(1));
  const order = async (): Promise<string[]> =>
    (await room.ledger.batches.active()).map(({ id }) => id).filter((id) => id === first || id === second);
  expect(await order()).toEqual([first, second]);
  expect(await changePriority(store, second, 'bulk')).toEqual({ kind: 'same' });
  expect(await changePriority(store, second, 'urgent', { reason: 'stolen' })).toEqual({ kind: 'changed' });
  expect(await order()).toEqual([second, first]);
  expect(await room.batch(second)).toMatchObject({ priority: 'urgent' });
  expect(await lastOnRecord(store)).toMatchObject({ event: 'priority', batch: second, reason: 'urgent: stolen' });
  await changePriority(store, first, 'urgent');
  expect(await order()).toEqual([first, second]);
  await changePriority(store, first, 'bulk');
  expect(await order()).toEqual([second, first]);
  expect(await changePriority(await strict(), first, 'urgent')).toEqual({ kind: 'reason-required' });
  expect(await changePriority(store, 'none', 'urgent')).toEqual({ kind: 'no-batch' });
  expect(await changePriority(store, 'direct-default', 'urgent')).toEqual({ kind: 'direct' });
  await room.ledger.batches.change(first, 'cancel');
  expect(await changePriority(store, first, 'urgent')).toEqual({ kind: 'refused', state: 'cancelled' });
  const { batch } = await room.plan(certificatesOf(1000));
  expect(await changePriority(store, batch, 'urgent')).toEqual({ kind: 'refused', state: 'planned' });
});

it('samples of a pace say what was used, configured and in force, once for all who share a clock', async () => {
  const store = await room.store();
  const { redis, prefix } = store;
  await lowerPace(store, { account, qps: 120, forSeconds: 60 });
  for (const of of [{ account }, { egress: 'nat' }, { egress: 'nat' }]) await takeSample(redis, prefix, of, QPS);
  // As ten seconds ago, when a thousand fewer slots had been given.
  const key = samplesKey(prefix, { account });
  const [text = '{}'] = await redis.lrange(key, 0, 0);
  const before = JSON.parse(text) as { at: number; given: number };
  await redis.lset(key, 0, JSON.stringify({ ...before, at: before.at - 10_000, given: 0 }));
  await redis.hset(`${prefix}:pace:account:${account}`, 'given', 1_000);
  await stopAll(store);
  await takeSample(redis, prefix, { account }, QPS);
  const history = await paceHistory(store);
  expect(history).toMatchObject([
    {
      kind: 'account',
      name: account,
      samples: [
        { used: null, qps: QPS, inForce: 120 },
        { qps: QPS, inForce: 0 },
      ],
    },
    { kind: 'egress', name: 'nat', samples: [{ used: null, qps: QPS, inForce: QPS }] },
  ]);
  const used = history[0]?.samples[1]?.used ?? 0;
  expect(used).toBeGreaterThan(0);
  expect(used).toBeLessThanOrEqual(100);
});

it('lists the workers that are there, with their accounts', async () => {
  const store = await room.store();
  const accounts = [
    { name: 'b', instances: ['i-2', 'i-3'] },
    { name: 'a', instances: ['i-1'] },
  ];
  const registry = new WorkerRegistry({ redis: room.redis, prefix: room.keys.prefix, host: 'h', pid: 7, accounts });
  await registry.announce();
  expect(await listWorkers(store)).toMatchObject([{ host: 'h', pid: 7, accounts: ['a', 'b'], halts: [] }]);
  await registry.leave();
  expect(await listWorkers(store)).toEqual([]);
});
