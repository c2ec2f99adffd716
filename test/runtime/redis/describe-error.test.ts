import { mkdir, rmdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { connect, connectOnce } from '../../../src/runtime/redis/connection.ts';
import { describeRedisError, isRedisFull, RedisUnavailable } from '../../../src/runtime/redis/describe-error.ts';
import { openRedis } from '../../../src/runtime/redis/open-redis.ts';
import { script } from '../../../src/runtime/redis/script.ts';
import { freePort } from '../../support/free-port.ts';
import { startTestRedis } from '../../support/redis.ts';
import type { TestRedis } from '../../support/redis.ts';

async function reasonOf(doing: Promise<unknown>): Promise<unknown> {
  return doing.then(
    () => undefined,
    (reason: unknown) => reason,
  );
}

describe('what a real Redis refuses becomes a sentence', () => {
  let server: TestRedis;
  let client: Redis;
  beforeAll(async () => {
    server = await startTestRedis();
    client = connect(server, 'producer', () => undefined);
  });
  afterEach(async () => {
    await client.config('SET', 'maxmemory', '0');
    await client.call('REPLICAOF', 'NO', 'ONE');
  });
  afterAll(async () => {
    client.disconnect();
    await server.stop();
  });

  const write = script<string>("return redis.call('SET', KEYS[1], 'x')");

  it('OOM, from a command, a script and a transaction', async () => {
    await client.config('SET', 'maxmemory', '1');
    const reasons = [
      await reasonOf(client.set('a', 'x')),
      await reasonOf(write(client, ['a'], [])),
      await reasonOf(client.multi().set('a', 'x').exec()),
    ];
    for (const reason of reasons) {
      expect(describeRedisError(reason)).toMatch(/^Redis has reached its maxmemory \(OOM\): raise maxmemory/);
      expect(isRedisFull(reason)).toBe(true);
    }
  });

  it('MISCONF, after a snapshot that could not be written', async () => {
    const inTheWay = join(server.dataDir, 'redis/dump.rdb');
    await mkdir(inTheWay);
    await client.config('SET', 'save', '3600 1000000');
    await client.bgsave();
    await vi.waitFor(
      async () => expect(await client.info('persistence')).toMatch(/rdb_last_bgsave_status:err/),
      60_000,
    );
    for (const reason of [await reasonOf(client.set('a', 'x')), await reasonOf(write(client, ['a'], []))]) {
      expect(describeRedisError(reason)).toMatch(/cannot save to disk \(MISCONF\): free space/);
      expect(isRedisFull(reason)).toBe(true);
    }
    await client.config('SET', 'save', '');
    await rmdir(inTheWay);
  });

  it('READONLY, from a command and a script', async () => {
    await client.call('REPLICAOF', '127.0.0.1', '1');
    for (const reason of [await reasonOf(client.set('a', 'x')), await reasonOf(write(client, ['a'], []))]) {
      expect(describeRedisError(reason)).toMatch(/read-only replica \(READONLY\): point redis\.url at the primary/);
      expect(isRedisFull(reason)).toBe(false);
    }
  });

  it('a wrong password, without the password', async () => {
    const options = { ...server.options, password: 'S3CRET' };
    const reason = await reasonOf(connectOnce(options, 5_000));
    expect(describeRedisError(reason)).toMatch(/^Redis refuses this user and password \(WRONGPASS\)/);
    expect(JSON.stringify(Object.entries(Object(reason)))).not.toContain('S3CRET');
  });

  it('no password', async () => {
    const { path = '' } = server.options;
    const bare = await connectOnce({ path }, 5_000).catch((reason: unknown) => reason);
    const reason = bare instanceof Error ? bare : await reasonOf(Object(bare).ping());
    expect(describeRedisError(reason)).toMatch(/^Redis wants a password \(NOAUTH\)/);
  });

  it('a server that was killed under a connection, within seconds', async () => {
    await client.ping();
    process.kill(server.serverPid(), 'SIGKILL');
    const reason = await reasonOf(client.set('a', 'x'));
    await server.restart();
    expect(describeRedisError(reason)).toMatch(/^(The connection to Redis at .* broke|Nothing answers at)/);
  });

  it('a missing permission', async () => {
    await client.acl('SETUSER', 'reader', 'on', '>reader', '~*', '+@read', '+@connection');
    const reader = await connectOnce({ ...server.options, username: 'reader', password: 'reader' }, 5_000);
    expect(describeRedisError(await reasonOf(reader.set('a', 'x')))).toMatch(/lacks a permission \(NOPERM\)/);
    reader.disconnect();
  });
});

describe('what cannot be reached becomes a sentence with the place', () => {
  it('a port where nobody listens', async () => {
    const port = await freePort();
    const opening = openRedis({ url: `redis://:S3CRET@127.0.0.1:${port}/2`, dataDir: '/nowhere' }, () => undefined);
    const reason = await reasonOf(opening);
    expect(reason).toBeInstanceOf(RedisUnavailable);
    const place = `redis://127.0.0.1:${port}/2`;
    expect(String(reason)).toBe(
      `RedisUnavailable: No Redis at ${place}. Nothing answers at ${place} (connection refused): start Redis there, or correct redis.url or redis.cluster`,
    );
  });

  it('a host that takes the connection and says nothing', async () => {
    const listener = createServer(() => undefined);
    await new Promise<void>((resolve) => void listener.listen(0, '127.0.0.1', resolve));
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is no text
    const { port } = listener.address() as AddressInfo;
    const opening = openRedis({ url: `redis://:S3CRET@127.0.0.1:${port}`, dataDir: '/nowhere' }, () => undefined);
    const text = String(await reasonOf(opening));
    listener.close();
    expect(text).toMatch(/does not answer in time: check the network/);
    expect(text).not.toContain('S3CRET');
  });

  it.each([
    [
      Object.assign(new Error('getaddrinfo ENOTFOUND redis.internal'), { code: 'ENOTFOUND' }),
      'host name of the configured address',
    ],
    [
      Object.assign(new Error('connect EACCES /x.sock'), { code: 'EACCES', address: '/x.sock' }),
      'No permission to open /x.sock',
    ],
    [
      new AggregateError([Object.assign(new Error(''), { code: 'ECONNREFUSED', address: '::1', port: 6379 })]),
      'Nothing answers at ::1:6379',
    ],
    [Object.assign(new Error('self-signed'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }), 'TLS with Redis'],
    [new Error('Connection is closed.'), 'broke before it answered'],
    [new Error('read ECONNRESET'), 'broke before it answered'],
    [new Error('LOADING Redis is loading the dataset in memory'), 'is loading its data'],
    [new Error('BUSY Redis is busy running a script.'), 'busy with a long script'],
    [new Error('MOVED 3999 127.0.0.1:6381'), 'under redis.cluster'],
    [new Error('CLUSTERDOWN Hash slot not served'), 'bring its lost nodes back'],
    [new Error('NOREPLICAS Not enough good replicas to write.'), 'too few replicas'],
    [
      new Error('All sentinels are unreachable. Last error: NOAUTH Authentication required.'),
      'redis.sentinelPasswordEnv',
    ],
    [
      Object.assign(new Error('ERR something new\nsecond line'), { name: 'ReplyError' }),
      'Redis failed: ERR something new',
    ],
    [beforeItself(new Error('Connection is closed.')), 'broke before it answered'],
    ['a text', 'a text'],
  ])('%s', (reason, sentence) => {
    expect(describeRedisError(reason)).toContain(sentence);
  });
});

/** As ioredis makes of one that ends each command of a MULTI. */
function beforeItself(error: Error): Error {
  return Object.assign(error, { previousErrors: [error] });
}
