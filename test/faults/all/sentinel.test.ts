import { afterEach, beforeEach, expect, it } from 'vitest';
import { checkRedis } from '../../../src/runtime/redis/check-redis.ts';
import { certificates, expectAccounted, GivenFleet } from '../../support/given-fleet.ts';
import { expectNeverOver } from '../../support/pace-oracle.ts';
import { startSentinels, type SentinelTopology } from '../../support/redis-topology.ts';

const QPS = 400;
const items = certificates(1_500);

let sentinels: SentinelTopology;
let fleet: GivenFleet;

beforeEach(async () => {
  sentinels = await startSentinels();
  fleet = await GivenFleet.open({
    CERTSWEEP_REDIS_SENTINEL_NAME: sentinels.name,
    CERTSWEEP_REDIS_SENTINEL_NODES: sentinels.nodes.join(','),
  });
});
afterEach(async () => {
  await fleet.close();
  await sentinels.stop();
});

/** Whatever Redis forgot: nothing is called that was not listed, and nothing is called too often. */
async function expectHarmless(fault: string, listed: number): Promise<void> {
  // Of an open registry, all that was deleted beyond the list would count.
  expect(fleet.sandbox.deletedCount).toBe(listed);
  await expectNeverOver(`Sentinel: ${fault}`, fleet.pace(), listed);
}

it.each([
  ['is killed', () => sentinels.primary.kill()],
  ['hangs', async () => sentinels.primary.freeze()],
])('a batch continues with the replica when its primary %s', async (how, fail) => {
  // Replicas copy after the answer: a person is told that a failover may cost a little.
  expect((await checkRedis(fleet.redis)).faults.map(({ thing }) => thing)).toContain('min-replicas-to-write');
  const batch = await fleet.submit(items);
  fleet.startWorker(QPS);
  await fleet.until(batch, ({ revoked }) => revoked >= 500);
  await fail();

  const detail = await fleet.until(batch, ({ pending }) => pending === 0);
  await expectAccounted(fleet, detail, items);
  expect(detail).toMatchObject({ state: 'completed', dead: 0, cancelled: 0 });
  await expectHarmless(`the primary ${how}`, items.length);
});

it('what a failover forgot is done again, and a forgotten batch is restored by its manifest', async () => {
  const batch = await fleet.submit(items);
  fleet.startWorker(QPS);
  await fleet.until(batch, ({ revoked }) => revoked >= 300);
  await sentinels.cutReplication();
  const lateItems = certificates(50, 2);
  const lateBatch = await fleet.submit(lateItems);
  const acknowledged = await fleet.until(batch, ({ revoked }) => revoked >= 800);
  await sentinels.primary.kill();
  const remembered = await fleet.until(batch, () => true);
  expect(remembered.revoked).toBeLessThan(acknowledged.revoked);

  const detail = await fleet.until(batch, ({ pending }) => pending === 0);
  await expectAccounted(fleet, detail, items);
  expect(detail).toMatchObject({ dead: 0, cancelled: 0 });
  // Deleted before, and found absent: nothing is said to be revoked by a call that was not made.
  const foundAbsent = detail.alreadyGone + detail.confirmedByAbsence;
  expect(foundAbsent).toBeGreaterThanOrEqual(acknowledged.revoked - remembered.revoked);

  expect(await fleet.ledger.batches.find(lateBatch)).toBeUndefined();
  const again = await fleet.submit(lateItems);
  await expectAccounted(fleet, await fleet.until(again, ({ pending }) => pending === 0), lateItems);
  await expectHarmless('the primary is killed after its replication was cut', items.length + lateItems.length);
});
