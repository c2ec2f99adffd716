import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCluster } from '../../../src/runtime/redis/cluster.ts';
import { retryDelayMs } from '../../../src/runtime/redis/connection.ts';
import { RedisUnavailable } from '../../../src/runtime/redis/describe-error.ts';
import { givenByCluster, givenBySentinel } from '../../../src/runtime/redis/given-redis.ts';
import { openRedis, type RedisPlace } from '../../../src/runtime/redis/open-redis.ts';
import { freePort } from '../../support/free-port.ts';
import { startSingle } from '../../support/redis-topology.ts';

async function refusalOf(place: Pick<RedisPlace, 'sentinel' | 'cluster'>): Promise<string> {
  const reason: unknown = await openRedis({ dataDir: '/nowhere', ...place }, () => undefined).catch(
    (error: unknown) => error,
  );
  if (!(reason instanceof RedisUnavailable)) throw new Error('not refused', { cause: reason });
  return reason.message;
}

describe('what Sentinel and cluster are reached by', () => {
  it('every Sentinel, with a password of its own', () => {
    const {
      options,
      clusterNodes,
      describe: shown,
    } = givenBySentinel({
      name: 'mymaster',
      nodes: ['a:1', '[::1]:2'],
      username: 'me',
      password: 'S3CRET',
      sentinelPassword: 'S3CRET2',
    });
    expect(options).toMatchObject({
      sentinels: [
        { host: 'a', port: 1 },
        { host: '::1', port: 2 },
      ],
      name: 'mymaster',
      role: 'master',
      username: 'me',
      password: 'S3CRET',
      sentinelPassword: 'S3CRET2',
    });
    expect([options.tls, clusterNodes]).toEqual([undefined, undefined]);
    expect(shown).toBe('the primary mymaster of the Sentinels a:1, [::1]:2');
  });

  it('TLS for both, or neither', () => {
    expect(givenBySentinel({ name: 'm', nodes: ['a:1'], tls: true }).options).toMatchObject({
      tls: { rejectUnauthorized: true },
      sentinelTLS: { rejectUnauthorized: true },
      enableTLSForSentinelMode: true,
    });
    expect(givenByCluster({ nodes: ['a:1'], tls: true }).options).toEqual({ tls: { rejectUnauthorized: true } });
  });

  it('the nodes of a cluster, whose description has no password', () => {
    expect(givenByCluster({ nodes: ['a:1', 'b:2'], password: 'S3CRET' })).toEqual({
      options: { password: 'S3CRET' },
      clusterNodes: [
        { host: 'a', port: 1 },
        { host: 'b', port: 2 },
      ],
      describe: 'the cluster of a:1, b:2',
    });
  });
});

describe('what cannot be used is told', () => {
  let single: Awaited<ReturnType<typeof startSingle>>;
  let closed: string;
  beforeAll(async () => {
    single = await startSingle();
    closed = `127.0.0.1:${await freePort()}`;
  });
  afterAll(() => single.stop());

  it('a cluster where nobody listens', async () => {
    const message = await refusalOf({ cluster: { nodes: [closed] } });
    expect(message).toBe(
      `No Redis at the cluster of ${closed}. Nothing answers at the cluster of ${closed} (connection refused): start Redis there, or correct redis.url or redis.cluster`,
    );
  });

  it('a single Redis given as a cluster', async () => {
    expect(await refusalOf({ cluster: { nodes: [single.node] } })).toContain('not a cluster but a single Redis');
  });

  it('Sentinels where nobody listens, or that are none', async () => {
    for (const node of [closed, single.node]) {
      const message = await refusalOf({ sentinel: { name: 'mymaster', nodes: [node] } });
      expect(message).toContain(`No Sentinel names a server as the primary mymaster of the Sentinels ${node}`);
    }
  });

  it('a command while no node of the cluster is there ends within its time', async () => {
    const [host = '', port] = closed.split(':');
    const client = openCluster({
      nodes: [{ host, port: Number(port) }],
      options: { replyMapping: 'legacy', commandTimeout: 200 },
      retryDelayMs,
      maxRedirections: 5,
    });
    client.on('error', () => undefined);
    await expect(client.get('{certsweep}:batches')).rejects.toThrow('Command timed out');
    client.disconnect();
  });
});
