import { describe, expect, it } from 'vitest';
import { openRedis } from '../../../src/runtime/redis/open-redis.ts';
import { parseNode, parseRedisUrl } from '../../../src/runtime/redis/redis-url.ts';

describe('parseRedisUrl', () => {
  it.each([
    ['redis://here', { host: 'here', port: 6379, db: 0 }, 'redis://here:6379'],
    ['redis://here:7000/', { host: 'here', port: 7000, db: 0 }, 'redis://here:7000'],
    ['redis://10.0.0.5:7000/3', { host: '10.0.0.5', port: 7000, db: 3 }, 'redis://10.0.0.5:7000/3'],
    ['redis://[::1]:7000', { host: '::1', port: 7000, db: 0 }, 'redis://[::1]:7000'],
    ['redis://:pw@here', { host: 'here', port: 6379, db: 0, password: 'pw' }, 'redis://here:6379'],
    [
      'redis://me:p%40%2F%25@here/1',
      { host: 'here', port: 6379, db: 1, username: 'me', password: 'p@/%' },
      'redis://here:6379/1',
    ],
    ['rediss://here', { host: 'here', port: 6379, db: 0, tls: { rejectUnauthorized: true } }, 'rediss://here:6379'],
  ])('reads %s', (url, options, describe_) => {
    expect(parseRedisUrl(url)).toEqual({ ok: true, options, describe: describe_ });
  });

  it.each([
    ['', 'redis://user:password@host:port/0'],
    ['here:6379', 'redis://user:password@host:port/0'],
    ['http://here', 'redis://user:password@host:port/0'],
    ['redis://', 'redis://user:password@host:port/0'],
    ['redis://me:S3CRET#x@here', 'as %2F'],
    ['redis://here:99999', 'redis://user:password@host:port/0'],
    ['redis://here/0?db=S3CRET', '"?" and "#"'],
    ['redis://here/S3CRET', '/<number> of the database'],
    ['redis://me:12/S3CRET@here', 'must be written %2F'],
    ['redis://me:S3CRET%@here', '"%" in user or password as %25'],
  ])('refuses %j and repeats nothing of it', (url, remedy) => {
    const parsed = parseRedisUrl(url);
    expect(parsed).toEqual({ ok: false, remedy: expect.stringContaining(remedy) });
    expect(JSON.stringify(parsed)).not.toContain('S3CRET');
  });

  it('is what openRedis answers with', async () => {
    const opening = openRedis({ url: 'http://here', dataDir: '/nowhere' }, () => undefined);
    await expect(opening).rejects.toThrow(/^redis\.url cannot be used: write it as redis:/);
  });
});

describe('parseNode', () => {
  it.each([
    ['redis-1.internal:6379', { host: 'redis-1.internal', port: 6379 }],
    ['10.0.0.5:1', { host: '10.0.0.5', port: 1 }],
    ['[fe80::1]:65535', { host: 'fe80::1', port: 65_535 }],
  ])('reads %s', (text, node) => {
    expect(parseNode(text)).toEqual(node);
  });

  it.each(['', 'here', ':6379', 'here:', 'here:0', 'here:65536', '::1:6379', 'user@here:1', 'redis://here:1', 'a b:1'])(
    'refuses %j',
    (text) => {
      expect(parseNode(text)).toBeUndefined();
    },
  );
});
