import { afterEach, beforeEach, expect, it } from 'vitest';
import { DEFAULT_BREAKER } from '../../../src/core/batch.ts';
import { ChunkReader } from '../../../src/ledger/chunk-reader.ts';
import { CONTRACT_VERSION } from '../../../src/queue/contract.ts';
import { Feeder, type FeederEvent } from '../../../src/queue/feed/feeder.ts';
import { directBatchOf } from '../../../src/ledger/direct-items.ts';
import { AccountQueues } from '../../../src/queue/queues.ts';
import { ACCOUNT, certificates, expectAccounted, INSTANCE, OTHER_INSTANCE, Workshop } from '../workshop.ts';

const OTHER = 'other';
const WITHIN = { interval: 20 };
/** `post-cn-b` was the fleet's, and is the other account's now. */
const fleetNow = { account: { name: ACCOUNT, qps: 5_000, instances: [INSTANCE] } };
const ownerOf = (instanceId: string): string => (instanceId === INSTANCE ? ACCOUNT : OTHER);

let shop: Workshop;
let opened: AccountQueues[] = [];
beforeEach(async () => {
  shop = await Workshop.open();
});
afterEach(async () => {
  for (const queues of opened) await queues.close();
  opened = [];
  await shop.close();
});

const waiting = (): Promise<number[]> => shop.ledger.waiting.counts([INSTANCE, OTHER_INSTANCE]);

/** Rounds of an account's feeder, so far apart that an item without a job is seen twice to have none. */
async function feed(name: string, instances: readonly string[], rounds: number): Promise<FeederEvent[]> {
  const events: FeederEvent[] = [];
  const queues = new AccountQueues(shop.redis, shop.keys.prefix, name);
  opened.push(queues);
  let nowMs = 0;
  const owns = (instanceId: string): boolean => instances.includes(instanceId);
  const { redis, ledger } = shop;
  const feeder = new Feeder({
    redis,
    ledger,
    chunks: new ChunkReader(ledger),
    queues,
    account: { name, instances },
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
  // The blocks have gone, and what was in them waits for the other account.
  await expect.poll(waiting, WITHIN).toEqual([0, 3]);
  await expect.poll(async () => (await shop.queues.blockIds()).length, WITHIN).toBe(0);
  expect(await shop.until(batch, ({ counts }) => counts.revoked > 2)).toMatchObject({
    counts: { revoked: 3, dead: 0 },
  });
  shop.start({ account: { name: OTHER, qps: 5_000, instances: [OTHER_INSTANCE] }, ownerOf });
  const rows = await expectAccounted(shop, batch, items);
  expect(new Set(rows.map(({ outcome }) => outcome))).toEqual(new Set(['revoked']));
  expect(shop.sandbox.seen().calls).toBe(6);
  expect(events.filter(({ kind }) => kind === 'defect' || kind === 'jobs-lost')).toEqual([]);
});

it('keeps items waiting while no account of the configuration has it, and says so once', async () => {
  const items = certificates(4, [OTHER_INSTANCE]);
  const batch = await shop.submit(items);
  await feed(ACCOUNT, [OTHER_INSTANCE], 1);
  const { events } = shop.start(fleetNow);
  await expect.poll(waiting, WITHIN).toEqual([0, 4]);
  const told = events.filter(({ kind }) => kind === 'unowned');
  expect(told).toEqual([{ kind: 'unowned', instanceId: OTHER_INSTANCE }]);
  await shop.stop();
  shop.start();
  await expectAccounted(shop, batch, items);
});

it('makes a dead letter of a single job that names it; retried or without its job, the account that has it calls for it', async () => {
  const direct = directBatchOf(ACCOUNT);
  const [item, other] = certificates(2, [OTHER_INSTANCE]);
  if (item === undefined || other === undefined) return;
  await shop.addJob({ v: CONTRACT_VERSION, ...item });
  await shop.ledger.direct.adopt(direct, 'lost', other);
  expect(await feed(ACCOUNT, [INSTANCE], 4)).toEqual([{ kind: 'jobs-lost', batch: direct, pending: 1 }]);
  shop.start({ ...fleetNow, ownerOf });
  await shop.until(direct, ({ counts }) => counts.dead === 1);
  const message = expect.stringContaining(`${OTHER_INSTANCE} belongs to account other`) as string;
  const letters = await shop.letters(direct);
  expect(letters).toMatchObject([{ code: 'unknown-instance', message, calls: 0 }]);
  expect(await shop.ledger.deadLetters.reopen(direct, [letters[0]?.n ?? -1])).toEqual(['reopened']);
  expect(shop.sandbox.seen().calls).toBe(0);
  shop.start({ account: { name: OTHER, qps: 5_000, instances: [OTHER_INSTANCE] }, ownerOf });
  expect((await shop.settled(direct, 2)).counts).toMatchObject({ revoked: 2, dead: 0 });
  expect(shop.sandbox.seen().calls).toBe(2);
});
