import { afterEach, beforeEach, expect, it } from 'vitest';
import { DEFAULT_BREAKER } from '../../src/core/batch.ts';
import { ChunkReader } from '../../src/ledger/chunk-reader.ts';
import { reopenDeadLetter } from '../../src/ledger/dead-letters.ts';
import { CONTRACT_VERSION } from '../../src/queue/contract.ts';
import { Feeder, type FeederEvent } from '../../src/queue/feeder.ts';
import { standingBatchOf } from '../../src/queue/item.ts';
import { RevokeQueue } from '../../src/queue/revoke-queue.ts';
import {
  ACCOUNT,
  certificates,
  expectAccounted,
  expectEmptied,
  INSTANCE,
  OTHER_INSTANCE,
  Workshop,
} from './workshop.ts';

const OTHER = 'other';
const WITHIN = { timeout: 20_000, interval: 20 };
/** `post-cn-b` was the fleet's, and is the other account's now. */
const fleetNow = { account: { name: ACCOUNT, qps: 5_000, instances: [INSTANCE] } };
const ownerOf = (instanceId: string): string => (instanceId === INSTANCE ? ACCOUNT : OTHER);

let shop: Workshop;
let queues: RevokeQueue[] = [];
beforeEach(async () => {
  shop = await Workshop.open();
});
afterEach(async () => {
  for (const queue of queues) await queue.close();
  queues = [];
  await shop.close();
});

/** Rounds of an account's feeder, so far apart that an item without a job is seen twice to have none. */
async function feed(name: string, instances: readonly string[], rounds: number): Promise<FeederEvent[]> {
  const events: FeederEvent[] = [];
  const queue = new RevokeQueue(shop.redis, shop.keys.prefix, name);
  queues.push(queue);
  let nowMs = 0;
  const owns = (instanceId: string): boolean => instances.includes(instanceId);
  const { redis, ledger } = shop;
  const feeder = new Feeder({
    redis,
    ledger,
    chunks: new ChunkReader(ledger),
    queue,
    account: { name },
    lowWater: 100,
    breaker: DEFAULT_BREAKER,
    owns,
    mayFeed: owns,
    mayGoOn: () => Promise.resolve(true),
    monotonicMs: () => nowMs,
    tell: (event) => events.push(event),
  });
  for (let round = 0; round < rounds; round += 1) {
    await feeder.feed();
    nowMs += 10_000;
  }
  return events;
}

it('has its items called for by the account that has it now, and leaves no job with the other one', async () => {
  const items = certificates(6, [INSTANCE, OTHER_INSTANCE]);
  const batch = await shop.submit(items);
  await feed(ACCOUNT, [INSTANCE, OTHER_INSTANCE], 1);
  const { events } = shop.start({ ...fleetNow, ownerOf });
  await expectEmptied(shop);
  expect(await shop.until(batch, ({ counts }) => counts.revoked > 2)).toMatchObject({
    counts: { revoked: 3, dead: 0 },
  });
  expect(await feed(OTHER, [OTHER_INSTANCE], 4)).toEqual([{ kind: 'jobs-lost', batch, pending: 3 }]);
  shop.start({ account: { name: OTHER, qps: 5_000, instances: [OTHER_INSTANCE] }, ownerOf });
  const rows = await expectAccounted(shop, batch, items);
  expect(new Set(rows.map(({ outcome }) => outcome))).toEqual(new Set(['revoked']));
  expect(shop.sandbox.seen().calls).toBe(6);
  expect(events.filter(({ kind }) => kind === 'unowned' || kind === 'defect')).toEqual([]);
});

it('keeps jobs waiting while no account of the configuration has it, and says so once', async () => {
  const items = certificates(4, [OTHER_INSTANCE]);
  const batch = await shop.submit(items);
  await feed(ACCOUNT, [OTHER_INSTANCE], 1);
  const { events } = shop.start(fleetNow);
  await expect.poll(async () => (await shop.queue.backlog()).delayed, WITHIN).toBe(4);
  const told = events.filter(({ kind }) => kind === 'unowned');
  expect(told).toEqual([{ kind: 'unowned', instanceId: OTHER_INSTANCE }]);
  await shop.stop();
  shop.start();
  await shop.queue.bull.promoteJobs();
  await expectAccounted(shop, batch, items);
});

it('makes a dead letter of a single job that names the account, also when that is retried or has lost its job', async () => {
  const standing = standingBatchOf(ACCOUNT);
  const [item, other] = certificates(2, [OTHER_INSTANCE]);
  if (item === undefined || other === undefined) return;
  await shop.addJob({ v: CONTRACT_VERSION, ...item });
  await shop.ledger.adopt(standing, 'lost', other);
  expect(await feed(ACCOUNT, [INSTANCE], 4)).toEqual([{ kind: 'jobs-lost', batch: standing, pending: 1 }]);
  shop.start({ ...fleetNow, ownerOf });
  await shop.settled(standing, 2);
  const message = expect.stringContaining(`${OTHER_INSTANCE} belongs to account other`) as string;
  const letter = { code: 'unknown-instance', message, attempts: 0 };
  expect(await shop.letters(standing)).toMatchObject([letter, letter]);
  expect(await reopenDeadLetter(shop.redis, shop.ledger, standing, 0)).toBe('reopened');
  await shop.settled(standing, 2);
  expect(await shop.letters(standing)).toHaveLength(2);
  expect(shop.sandbox.seen().calls).toBe(0);
});
