import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/runtime/config/load-config.ts';
import { redisPlaceOf } from '../../../src/runtime/config/redis-place.ts';
import type { RedisPlace } from '../../../src/runtime/redis/open-redis.ts';
import { faultsIn, faultsOf, loadYaml } from './load.ts';

const SENTINEL = 'sentinel: {name: mymaster, nodes: ["a:26379", "b:26379"]}';
const CLUSTER = 'cluster: {nodes: ["a:6379"], tls: true}';

async function placeIn(yaml: string, environment: Record<string, string> = {}): Promise<RedisPlace> {
  return redisPlaceOf(await loadYaml(`dataDir: /data\nredis: {${yaml}}`, environment), environment);
}

describe('the place of Redis', () => {
  it('is the data directory, a URL, Sentinels or a cluster', async () => {
    expect(await placeIn('')).toEqual({ dataDir: '/data' });
    expect(await placeIn('appendFsync: always')).toEqual({ dataDir: '/data', appendFsync: 'always' });
    expect(await placeIn('url: redis://here')).toEqual({ dataDir: '/data', url: 'redis://here' });
    const sentinel = { name: 'mymaster', nodes: ['a:26379', 'b:26379'], tls: false };
    expect(await placeIn(SENTINEL)).toEqual({ dataDir: '/data', sentinel });
    expect(await placeIn(CLUSTER)).toEqual({ dataDir: '/data', cluster: { nodes: ['a:6379'], tls: true } });
  });

  it('comes from the environment alone, with its passwords', async () => {
    const access = { CERTSWEEP_REDIS_USERNAME: 'me', CERTSWEEP_REDIS_PASSWORD: 'one' };
    const sentinels = {
      CERTSWEEP_REDIS_SENTINEL_NAME: 'mymaster',
      CERTSWEEP_REDIS_SENTINEL_NODES: 'a:1, b:2',
      CERTSWEEP_REDIS_SENTINEL_PASSWORD: 'two',
      ...access,
    };
    expect(redisPlaceOf(await loadConfig({ environment: sentinels }), sentinels).sentinel).toEqual({
      name: 'mymaster',
      nodes: ['a:1', 'b:2'],
      tls: false,
      username: 'me',
      password: 'one',
      sentinelPassword: 'two',
    });
    const cluster = { CERTSWEEP_REDIS_CLUSTER_NODES: '[::1]:7000,b:7001', ...access };
    expect(redisPlaceOf(await loadConfig({ environment: cluster }), cluster).cluster).toEqual({
      nodes: ['[::1]:7000', 'b:7001'],
      tls: false,
      username: 'me',
      password: 'one',
    });
  });

  it('takes how the embedded Redis syncs from the environment, over the file', async () => {
    const environment = { CERTSWEEP_REDIS_APPEND_FSYNC: 'always' };
    expect(await placeIn('appendFsync: everysec', environment)).toEqual({ dataDir: '/data', appendFsync: 'always' });
  });

  it('takes passwords from the variables that the file names, whatever they are called', async () => {
    const environment = { CERTSWEEP_OURS: 'one', THEIRS: 'two', CERTSWEEP_REDIS_USERNAME: 'me' };
    const place = await placeIn(`${SENTINEL}, passwordEnv: CERTSWEEP_OURS, sentinelPasswordEnv: THEIRS`, environment);
    expect(place.sentinel).toMatchObject({ username: 'me', password: 'one', sentinelPassword: 'two' });
  });

  it('takes passwords from files, wherever the variable is named', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'certsweep-secret-'));
    try {
      await writeFile(join(folder, 'one'), 'one\n');
      await writeFile(join(folder, 'two'), 'two');
      const environment = {
        CERTSWEEP_REDIS_PASSWORD_FILE: join(folder, 'one'),
        CERTSWEEP_TWO_FILE: join(folder, 'two'),
      };
      const place = await placeIn(`${SENTINEL}, sentinelPasswordEnv: CERTSWEEP_TWO`, environment);
      expect(place.sentinel).toMatchObject({ password: 'one', sentinelPassword: 'two' });
      const gone = { CERTSWEEP_REDIS_PASSWORD_FILE: join(folder, 'three') };
      await expect(placeIn(CLUSTER, gone)).rejects.toThrow(
        /^Redis: CERTSWEEP_REDIS_PASSWORD_FILE names .*three, which/,
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('is not known while a named variable is not set', async () => {
    await expect(placeIn(`${CLUSTER}, passwordEnv: REDIS_PASSWORD`)).rejects.toThrow(
      /^The environment variable REDIS_PASSWORD is not set, but redis\.passwordEnv of .* names it: set it, or REDIS_PASSWORD_FILE$/,
    );
  });
});

describe('a place is refused', () => {
  it.each([
    [`url: redis://here, ${SENTINEL}`, 'redis.sentinel', 'a mapping of 2', 'remove it, or redis.url'],
    [`url: redis://here, ${CLUSTER}`, 'redis.cluster', 'a mapping of 2', 'remove it, or redis.url'],
    [`${SENTINEL}, ${CLUSTER}`, 'redis.cluster', 'a mapping of 2', 'remove it, or redis.sentinel'],
    ['url: redis://here, passwordEnv: X', 'redis.passwordEnv', '***', 'is given in CERTSWEEP_REDIS_URL'],
    [`${CLUSTER}, sentinelPasswordEnv: X`, 'redis.sentinelPasswordEnv', '***', 'it is for redis.sentinel'],
    [`${CLUSTER}, passwordEnv: s3cret!`, 'redis.passwordEnv', '***', 'not the secret itself'],
    [`${CLUSTER}, password: s3cret!`, 'redis.password', '***', 'CERTSWEEP_REDIS_PASSWORD'],
    ['url: redis://here, appendFsync: always', 'redis.appendFsync', '"always"', 'where redis.url points'],
    [`${SENTINEL}, appendFsync: everysec`, 'redis.appendFsync', '"everysec"', 'where redis.sentinel points'],
    [`${CLUSTER}, appendFsync: always`, 'redis.appendFsync', '"always"', 'it is for the embedded Redis'],
    ['url: redis://here, tls: {caFile: ca.pem}', 'redis.tls', 'a mapping of 1', 'connect by TLS'],
    [`${SENTINEL}, tls: {caFile: ca.pem}`, 'redis.tls', 'a mapping of 1', 'tls: true'],
    ['tls: {caFile: ca.pem}', 'redis.tls', 'a mapping of 1', 'remove it'],
    ['url: rediss://here, tls: {caFile: ~/ca.pem}', 'redis.tls.caFile', '"~/ca.pem"', 'without ~'],
    ['appendFsync: no', 'redis.appendFsync', '"no"', 'everysec or always'],
    ['cluster: {nodes: []}', 'redis.cluster.nodes', 'an empty list', 'at least one'],
    ['cluster: {nodes: [here]}', 'redis.cluster.nodes[0]', '"here"', 'host:port'],
    ['sentinel: {nodes: ["a:1"]}', 'redis.sentinel.name', 'missing', 'sentinel monitor'],
    ['sentinel: {name: m, nodes: ["a:1"], db: 3}', 'redis.sentinel.db', '3', 'known here are name, nodes, tls'],
  ])('%s', async (yaml, path, value, remedy) => {
    expect(await faultsIn(`redis: {${yaml}}`)).toEqual([{ path, value, remedy: expect.stringContaining(remedy) }]);
  });

  it('by the variable that should have set it', async () => {
    expect(await faultsOf({ CERTSWEEP_REDIS_SENTINEL_NODES: 'a:1,b' })).toEqual([
      { path: 'CERTSWEEP_REDIS_SENTINEL_NAME', value: 'missing', remedy: expect.stringContaining('sentinel monitor') },
      { path: 'CERTSWEEP_REDIS_SENTINEL_NODES', value: '"b"', remedy: expect.stringContaining('host:port') },
    ]);
  });

  it('that syncs as only the embedded Redis can be told to, by the variable that said so', async () => {
    const environment = { CERTSWEEP_REDIS_URL: 'redis://here', CERTSWEEP_REDIS_APPEND_FSYNC: 'always' };
    expect(await faultsOf(environment)).toEqual([
      { path: 'CERTSWEEP_REDIS_APPEND_FSYNC', value: '"always"', remedy: expect.stringContaining('embedded Redis') },
    ]);
  });

  it('with a password that nothing would use', async () => {
    const environment = { CERTSWEEP_REDIS_URL: 'redis://here', CERTSWEEP_REDIS_PASSWORD: 's3cret!' };
    expect(await faultsOf(environment)).toEqual([
      { path: 'CERTSWEEP_REDIS_PASSWORD', value: '***', remedy: expect.stringContaining('CERTSWEEP_REDIS_URL') },
    ]);
  });
});
