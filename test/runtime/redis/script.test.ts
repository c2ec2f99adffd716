import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../../src/runtime/redis/connection.ts';
import { describeRedisError } from '../../../src/runtime/redis/describe-error.ts';
import { script } from '../../../src/runtime/redis/script.ts';
import { startTestRedis } from '../../support/redis.ts';
import type { TestRedis } from '../../support/redis.ts';

describe('a script', () => {
  // A server of its own: flushing scripts in the shared one would reach into other tests.
  let server: TestRedis;
  let client: Redis;
  beforeAll(async () => {
    server = await startTestRedis();
    client = connect(server, 'worker', () => undefined);
  });
  afterAll(async () => {
    client.disconnect();
    await server.stop();
  });

  async function callsOf(command: string): Promise<number> {
    const stats = await client.info('commandstats');
    return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
  }

  it('gets keys and arguments, and is sent whole only once', async () => {
    const add = script<number>("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    expect(await add(client, ['{a}sum'], [2])).toBe(2);
    expect(await add(client, ['{a}sum'], ['3'])).toBe(5);
    expect(await callsOf('eval')).toBe(1);
    expect(await callsOf('evalsha')).toBe(2);
  });

  it('keeps the bytes of a Buffer', async () => {
    const put = script<string>("return redis.call('SET', KEYS[1], ARGV[1])");
    const bytes = Buffer.from([0, 255, 10, 13]);
    await put(client, ['bytes'], [bytes]);
    expect(await client.getBuffer('bytes')).toEqual(bytes);
  });

  it('runs once, and again, after SCRIPT FLUSH', async () => {
    const next = script<number>("return redis.call('INCR', KEYS[1])");
    expect(await next(client, ['count'], [])).toBe(1);
    await client.script('FLUSH');
    expect(await next(client, ['count'], [])).toBe(2);
    expect(await next(client, ['count'], [])).toBe(3);
  });

  it('runs after the server was killed and started again', async () => {
    const next = script<number>("return redis.call('INCR', KEYS[1])");
    expect(await next(client, ['survivor'], [])).toBe(1);
    process.kill(server.serverPid(), 'SIGKILL');
    await server.restart();
    expect(await next(client, ['survivor'], [])).toBe(2);
  });

  it('does not run twice because its own error speaks of NOSCRIPT', async () => {
    const fails = script<number>("redis.call('INCR', KEYS[1]) return redis.error_reply('ERR not NOSCRIPT')");
    // The first call sends it whole, the second by its hash.
    await expect(fails(client, ['once'], [])).rejects.toThrow('ERR not NOSCRIPT');
    await expect(fails(client, ['once'], [])).rejects.toThrow('ERR not NOSCRIPT');
    expect(await client.get('once')).toBe('2');
  });

  it('that is wrong fails with an error that can be read', async () => {
    const wrong = script<number>('return nonsense(');
    const error: unknown = await wrong(client, [], []).catch((reason: unknown) => reason);
    expect(describeRedisError(error)).toMatch(/^Redis failed: ERR .*compil/);
  });
});
