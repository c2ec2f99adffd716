import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkRedis, judgeServer } from '../../../src/runtime/redis/check-redis.ts';
import type { RedisFault, ServerFacts } from '../../../src/runtime/redis/check-redis.ts';
import { connect } from '../../../src/runtime/redis/connection.ts';
import { startTestRedis, testRedis } from '../../support/redis.ts';
import type { TestRedis } from '../../support/redis.ts';

const INFO = {
  redis_version: '7.4.6',
  role: 'master',
  redis_mode: 'standalone',
  maxmemory_policy: 'noeviction',
  aof_enabled: '1',
  aof_last_write_status: 'ok',
  rdb_last_bgsave_status: 'ok',
};
const CONFIG = { 'maxmemory-policy': 'noeviction', save: '', appendfsync: 'everysec' };

/** What a sound server says, with some of it changed; undefined takes a field away. */
function facts(
  info: Readonly<Record<string, string | undefined>> = {},
  config: Readonly<Record<string, string>> | undefined = {},
  roundTripMs = 0.2,
): ServerFacts {
  const told = Object.entries({ ...INFO, ...info }).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, value] as const],
  );
  return { info: new Map(told), config: new Map(Object.entries({ ...CONFIG, ...config })), roundTripMs };
}

function fault(severity: RedisFault['severity'], thing: string, value: string, remedy: string): RedisFault {
  return { severity, thing, value, remedy: expect.stringContaining(remedy) };
}

describe('judgeServer', () => {
  it('finds nothing wrong with a sound server', () => {
    expect(judgeServer(facts())).toEqual({
      version: 'redis 7.4.6',
      policy: 'noeviction',
      persistence: 'aof',
      roundTripMs: 0.2,
      faults: [],
    });
  });

  it.each<[string, ServerFacts, RedisFault]>([
    [
      'an eviction',
      facts({}, { 'maxmemory-policy': 'allkeys-lru' }),
      fault('refuse', 'maxmemory-policy', 'allkeys-lru', 'CONFIG SET maxmemory-policy noeviction'),
    ],
    [
      'an old version',
      facts({ redis_version: '6.0.16' }),
      fault('refuse', 'redis_version', '6.0.16', 'Redis 6.2 or newer'),
    ],
    ['a flaw', facts({ redis_version: '7.4.5' }), fault('warn', 'redis_version', '7.4.5', 'CVE-2025-49844')],
    [
      'a flaw in a line that nobody fixes',
      facts({ redis_version: '7.0.15' }),
      fault('warn', 'redis_version', '7.0.15', 'by distributions'),
    ],
    [
      'a flaw of Valkey',
      facts({ redis_version: '7.2.4', valkey_version: '8.0.5' }),
      fault('warn', 'valkey_version', '8.0.5', 'update it'),
    ],
    ['a replica', facts({ role: 'slave' }), fault('refuse', 'role', 'replica', 'point redis.url at the primary')],
    ['a cluster', facts({ redis_mode: 'cluster' }), fault('refuse', 'redis_mode', 'cluster', 'under redis.cluster')],
    [
      'a full disk',
      facts({ aof_last_write_status: 'err' }),
      fault('refuse', 'aof_last_write_status', 'err', 'free space'),
    ],
    [
      'a failed snapshot',
      facts({ rdb_last_bgsave_status: 'err' }),
      fault('warn', 'rdb_last_bgsave_status', 'err', 'MISCONF'),
    ],
    ['no persistence', facts({ aof_enabled: '0' }), fault('warn', 'persistence', 'none', 'loses every batch')],
    [
      'snapshots only',
      facts({ aof_enabled: '0' }, { save: '3600 1' }),
      fault('warn', 'persistence', 'rdb', 'set appendonly yes'),
    ],
    ['no fsync', facts({}, { appendfsync: 'no' }), fault('warn', 'appendfsync', 'no', 'everysec or always')],
    [
      'a password on the network',
      { ...facts(), isUnencrypted: true },
      fault('warn', 'encryption', 'none', 'use rediss://'),
    ],
    ['a distance', facts({}, {}, 10.5), fault('warn', 'round trip', '10.5 ms', 'nearer to Redis')],
    [
      'a hidden version',
      facts({ redis_version: undefined }),
      fault('warn', 'redis_version', 'unknown', 'at least 6.2'),
    ],
  ])('sees %s', (_name, told, expected) => {
    expect(judgeServer(told).faults).toEqual([expected]);
  });

  it.each(['sentinel', 'cluster'] as const)('warns of what a failover by %s drops', (failover) => {
    const told = { ...facts({ connected_slaves: '2' }, { 'min-replicas-to-write': '0' }), failover };
    expect(judgeServer(told).faults).toEqual([fault('warn', 'min-replicas-to-write', '0', 'the failover drops')]);
    const { failover: _none, ...alone } = told;
    expect(judgeServer(alone).faults).toEqual([]);
    const without = facts({ connected_slaves: '0' }, { 'min-replicas-to-write': '0' });
    expect(judgeServer({ ...without, failover }).faults).toEqual([]);
    const guarded = facts({ connected_slaves: '2' }, { 'min-replicas-to-write': '1' });
    expect(judgeServer({ ...guarded, failover }).faults).toEqual([]);
  });

  it('has nothing against a cluster that is reached as one', () => {
    expect(judgeServer({ ...facts({ redis_mode: 'cluster' }), failover: 'cluster' }).faults).toEqual([]);
  });

  it('takes Valkey by its own name', () => {
    expect(judgeServer(facts({ redis_version: '7.2.4', valkey_version: '8.0.1' })).version).toBe('valkey 8.0.1');
  });

  it.each(['6.2.20', '7.2.11', '7.4.6', '8.0.4', '8.2.2', '8.4.0', '9.0.0'])(
    'has nothing against Redis %s',
    (version) => {
      expect(judgeServer(facts({ redis_version: version })).faults).toEqual([]);
    },
  );

  it('leaves the version of the embedded one to its distribution', () => {
    expect(judgeServer({ ...facts({ redis_version: '7.0.15' }), isEmbedded: true }).faults).toEqual([]);
  });

  it('counts snapshots beside the append-only file', () => {
    expect(judgeServer(facts({}, { save: '3600 1' })).persistence).toBe('aof+rdb');
  });

  it('believes INFO where CONFIG is forbidden, and warns of what it cannot see', () => {
    const check = judgeServer({ ...facts({ maxmemory_policy: 'volatile-ttl' }), config: undefined });
    expect(check.policy).toBe('volatile-ttl');
    expect(check.faults).toEqual([
      fault('refuse', 'maxmemory-policy', 'volatile-ttl', 'noeviction'),
      fault('warn', 'appendfsync', 'unknown', 'CONFIG GET is forbidden'),
    ]);
  });

  it('warns, and refuses nothing, where nothing may be asked', () => {
    const check = judgeServer({ info: new Map(), config: undefined, roundTripMs: 1 });
    expect(check).toMatchObject({ version: 'unknown', policy: 'unknown', persistence: 'unknown' });
    expect(check.faults.map(({ severity, thing }) => `${severity} ${thing}`)).toEqual([
      'warn redis_version',
      'warn maxmemory-policy',
      'warn persistence',
    ]);
  });
});

describe('checkRedis', () => {
  let server: TestRedis;
  beforeAll(async () => {
    server = await startTestRedis();
  });
  afterAll(async () => {
    await server.stop();
  });

  it('finds the embedded Redis sound', async () => {
    const keys = testRedis();
    const check = await checkRedis(keys.client);
    await keys.cleanup();
    expect(check).toMatchObject({ policy: 'noeviction', persistence: 'aof' });
    expect(check.version).toMatch(/^(redis|valkey) \d+\.\d+\.\d+$/);
    // A busy machine may be slow, and is then told so.
    expect(check.faults.filter(({ thing }) => thing !== 'round trip')).toEqual([]);
  });

  it('sees what was changed in a running server', async () => {
    const client = connect(server, 'producer', () => undefined);
    await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    await client.config('SET', 'appendonly', 'no');
    const check = await checkRedis(client);
    client.disconnect();
    expect(check).toMatchObject({ policy: 'allkeys-lru', persistence: 'none' });
    expect(check.faults.map(({ thing }) => thing)).toEqual(expect.arrayContaining(['maxmemory-policy', 'persistence']));
  });

  it('copes with a user who may not ask', async () => {
    const admin = connect(server, 'producer', () => undefined);
    await admin.acl('SETUSER', 'guest', 'on', '>guest', '~*', '+@all', '-config', '-info');
    const options = { ...server.options, username: 'guest', password: 'guest', enableReadyCheck: false };
    const guest = connect({ options }, 'producer', () => undefined);
    const check = await checkRedis(guest);
    guest.disconnect();
    admin.disconnect();
    expect(check).toMatchObject({ version: 'unknown', policy: 'unknown', persistence: 'unknown' });
  });
});
