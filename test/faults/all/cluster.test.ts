import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { KEY_PREFIX } from '../../../src/queue/contract.ts';
import { checkRedis } from '../../../src/runtime/redis/check-redis.ts';
import { connect } from '../../../src/runtime/redis/connection.ts';
import { openRedis } from '../../../src/runtime/redis/open-redis.ts';
import { certificates, expectAccounted, GivenFleet } from '../../support/given-fleet.ts';
import { expectNeverOver, usedPercent } from '../../support/pace-oracle.ts';
import { startCluster, type ClusterTopology } from '../../support/redis-topology.ts';

/** So low that it holds the batch up, or its cap would not be tried. */
const QPS = 400;
/** So low that a busy machine keeps up: what is not used is idled away. */
const UNHURRIED_QPS = 120;

let cluster: ClusterTopology;
let fleet: GivenFleet;

async function openFleet(): Promise<void> {
  // One node is enough, and not the one with our keys: the others are learnt from it.
  const [node = ''] = cluster.others.map((server) => server.node);
  fleet = await GivenFleet.open({ CERTSWEEP_REDIS_CLUSTER_NODES: node });
}

describe('on a sound cluster', () => {
  beforeAll(async () => {
    cluster = await startCluster(`${KEY_PREFIX}:batches`);
  });
  afterAll(() => cluster.stop());
  beforeEach(openFleet);
  afterEach(() => fleet.close());

  it('a batch runs from its submission to the retry of its dead letters', async () => {
    const items = certificates(1_000);
    const broken = items.slice(100, 110).map(({ deviceSn }) => deviceSn);
    fleet.sandbox.setPlan({
      seed: 1,
      faults: [{ kind: 'code', code: 'ParameterCheckFailed', deviceSns: broken, times: 'always' }],
    });
    const batch = await fleet.submit(items);
    expect(await fleet.activate(items)).toEqual({ kind: 'duplicate', batch });
    fleet.startWorker(UNHURRIED_QPS);
    const midway = await fleet.until(batch, ({ revoked }) => revoked > 0);
    expect(midway.ratePerSecond).toBeGreaterThan(0);
    const ended = await fleet.until(batch, ({ pending }) => pending === 0);
    expect(ended).toMatchObject({ state: 'completed', revoked: items.length - broken.length, dead: broken.length });
    await expectAccounted(fleet, ended, items);
    expect(usedPercent(fleet.pace()), 'percent of the cap that was used').toBeGreaterThanOrEqual(65);

    fleet.sandbox.setPlan({ seed: 1, faults: [] });
    const letters: string[] = [];
    for await (const { deviceSn, n } of fleet.ledger.deadLetters.list({ batch })) {
      letters.push(deviceSn);
      expect(await fleet.ledger.deadLetters.reopen(batch, [n])).toEqual(['reopened']);
    }
    expect(letters.toSorted()).toEqual(broken.toSorted());
    const fixed = await fleet.until(batch, ({ pending, revoked }) => pending === 0 && revoked === items.length);
    await expectAccounted(fleet, fixed, items);
    await expectNeverOver('Cluster: nothing fails', fleet.pace(), items.length);
  });

  it('the check asks the node that holds the keys, whatever the others say', async () => {
    for (const { client } of cluster.others) await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    const check = await checkRedis(fleet.redis);
    for (const { client } of cluster.others) await client.config('SET', 'maxmemory-policy', 'noeviction');
    expect(check).toMatchObject({ policy: 'noeviction', persistence: 'aof' });
    expect(check.faults.filter(({ severity }) => severity === 'refuse')).toEqual([]);
    await cluster.owner.client.config('SET', 'maxmemory-policy', 'volatile-lru');
    const later = await checkRedis(fleet.redis);
    await cluster.owner.client.config('SET', 'maxmemory-policy', 'noeviction');
    expect(later.policy).toBe('volatile-lru');
  });

  it('a node given as a single Redis is refused', async () => {
    const open = await openRedis({ url: `redis://${cluster.owner.node}`, dataDir: '/nowhere' }, () => undefined);
    const client = connect(open, 'producer', () => undefined);
    const { faults } = await checkRedis(client);
    client.disconnect();
    expect(faults).toContainEqual(
      expect.objectContaining({ severity: 'refuse', thing: 'redis_mode', value: 'cluster' }),
    );
  });
});

describe('when the node with the keys fails', () => {
  beforeEach(async () => {
    cluster = await startCluster(`${KEY_PREFIX}:batches`);
    await openFleet();
  });
  afterEach(async () => {
    await fleet.close();
    await cluster.stop();
  });

  it.each([
    ['is killed', () => cluster.owner.kill()],
    ['hangs', async () => cluster.owner.freeze()],
  ])('a batch continues with its replica: it %s', async (how, fail) => {
    const items = certificates(1_500);
    const batch = await fleet.submit(items);
    fleet.startWorker(QPS);
    await fleet.until(batch, ({ revoked }) => revoked >= 500);
    await fail();

    const ended = await fleet.until(batch, ({ pending }) => pending === 0);
    await expectAccounted(fleet, ended, items);
    expect(ended).toMatchObject({ state: 'completed', dead: 0, cancelled: 0 });
    expect(fleet.sandbox.deletedCount).toBe(items.length);
    await expectNeverOver(`Cluster: the node with the keys ${how}`, fleet.pace(), items.length);
  });
});
