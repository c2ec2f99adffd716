import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../src/runtime/redis/connection.ts';
import { startTestRedis, type TestRedis } from './redis.ts';
import { everythingIn, formsOf, leaksIn } from './secrecy.ts';

const SECRET = 'sEcReCy/Secret+With=Signs&30Chars';
/** Repeats all of the secret but its end, so that a packed value holds no more of it than that. */
const ALMOST = SECRET.slice(0, -1);
const PLANTS: Record<string, (redis: Redis, text: string) => Promise<unknown>> = {
  'a string': (redis, text) => redis.set('planted', `${ALMOST} ${text}`),
  'the hash of a job': (redis, text) =>
    redis.hset('planted', { name: ALMOST, data: JSON.stringify({ v: 1 }), failedReason: `refused: ${text}` }),
  'a long value of a hash': (redis, text) =>
    redis.hset('planted', { history: JSON.stringify(Array.from({ length: 20 }, () => ALMOST).concat(text)) }),
  'a stream': async (redis, text) => {
    for (const message of [ALMOST, ALMOST, text])
      await redis.xadd('planted', '*', 'outcome', 'dead', 'message', message);
  },
  'a list': (redis, text) => redis.rpush('planted', ALMOST, ALMOST, text),
  'a sorted set': (redis, text) => redis.zadd('planted', 1, ALMOST, 2, text),
};

let server: TestRedis;
let redis: Redis;
beforeAll(async () => {
  server = await startTestRedis();
  redis = connect(server, 'producer', () => undefined);
});
afterEach(() => redis.flushall());
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

async function leaksInRedis(): Promise<string[]> {
  const found: string[] = [];
  for await (const [key, value] of everythingIn(redis)) found.push(...leaksIn(`${key} ${value}`, [SECRET]));
  return found;
}

describe('the oracle of secrecy', () => {
  it.each(Object.entries(PLANTS))('sees into %s', async (_what, plant) => {
    for (const text of [...formsOf(SECRET), 'Signature=abc%3D', 'x%26Signature%3Dabc']) {
      // As a server begins, and as an operator may have set it.
      await redis.config('SET', 'rdbcompression', 'yes');
      await plant(redis, text);
      expect(await leaksInRedis(), `planted: ${text}`).not.toEqual([]);
      await redis.del('planted');
      await plant(redis, 'Signature=[redacted]');
      expect(await leaksInRedis()).toEqual([]);
      await redis.del('planted');
    }
  });

  it('sees the name of a key', async () => {
    await redis.set(`job:${SECRET}`, '');
    expect(await leaksInRedis()).toContain(SECRET);
  });

  it.each(['', 'a', 'ab', 'abc'])('sees a secret inside a text that was encoded with it, after "%s"', (before) => {
    const whole = `${before}${SECRET}&more`;
    const once = encodeURIComponent(whole);
    const base64 = Buffer.from(whole).toString('base64');
    const encoded = [
      once,
      encodeURIComponent(once),
      base64,
      encodeURIComponent(base64),
      Buffer.from(whole).toString('base64url'),
    ];
    expect(encoded.filter((text) => leaksIn(text, [SECRET]).length === 0)).toEqual([]);
    expect(encoded.filter((text) => leaksIn(text, ['another/Secret+']).length > 0)).toEqual([]);
  });
});
