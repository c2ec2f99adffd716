import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { loadConfig } from '../../../src/runtime/config/load-config.ts';
import { redisPlaceOf } from '../../../src/runtime/config/redis-place.ts';
import { connect } from '../../../src/runtime/redis/connection.ts';
import { isUnencrypted } from '../../../src/runtime/redis/encryption.ts';
import { openRedis } from '../../../src/runtime/redis/open-redis.ts';
import { LOOPBACK_CERTIFICATE } from '../../sandbox/loopback-certificate.ts';
import { startSingle } from '../../support/redis-topology.ts';
import { startTlsFront, type TlsFront } from '../../support/tls-front.ts';

let single: Awaited<ReturnType<typeof startSingle>>;
let front: TlsFront;
let folder: string;
beforeAll(async () => {
  single = await startSingle();
  front = await startTlsFront(single.port);
  folder = await mkdtemp(join(tmpdir(), 'certsweep-ca-'));
  await writeFile(join(folder, 'ca.pem'), LOOPBACK_CERTIFICATE);
  await writeFile(join(folder, 'empty.pem'), 'no certificate\n');
});
afterAll(async () => {
  await front.close();
  await single.stop();
  await rm(folder, { recursive: true });
});
afterEach(() => vi.unstubAllEnvs());

/** Opens the Redis behind the proxy by URL, or a cluster there, and asks it something. */
async function ask(environment: Record<string, string>): Promise<string> {
  const place = redisPlaceOf(await loadConfig({ environment }), environment);
  const open = await openRedis(place, () => undefined);
  const client = connect(open, 'producer', () => undefined);
  try {
    return await client.ping();
  } finally {
    client.disconnect();
    await open.close();
  }
}

const url = (): Record<string, string> => ({ CERTSWEEP_REDIS_URL: `rediss://127.0.0.1:${front.port}` });

describe('TLS to Redis', () => {
  it('is refused to a server that nobody vouches for, whatever NODE_TLS_REJECT_UNAUTHORIZED says', async () => {
    await expect(ask(url())).rejects.toThrow(/TLS with Redis at .* fails/);
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    const before = front.entered();
    await expect(ask(url())).rejects.toThrow(/TLS with Redis at .* fails/);
    const cluster = { cluster: { nodes: [`127.0.0.1:${front.port}`], tls: true }, dataDir: '/nowhere' };
    await expect(openRedis(cluster, () => undefined)).rejects.toThrow(/TLS with Redis at .* fails/);
    const sentinel = { name: 'm', nodes: [`127.0.0.1:${front.port}`], tls: true };
    await expect(openRedis({ sentinel, dataDir: '/nowhere' }, () => undefined)).rejects.toThrow('No Redis at');
    // Without verification, something would have been said over it.
    expect(await single.client.info('commandstats')).not.toMatch(/cmdstat_(sentinel|cluster)/);
    expect(front.entered()).toBeGreaterThanOrEqual(before);
  });

  it('trusts the authority in redis.tls.caFile', async () => {
    expect(await ask({ ...url(), CERTSWEEP_REDIS_TLS_CA_FILE: join(folder, 'ca.pem') })).toBe('PONG');
  });

  it.each([
    ['none.pem', 'cannot be read (ENOENT)'],
    ['empty.pem', 'holds no certificate'],
  ])('says what is wrong with %s', async (name, why) => {
    const environment = { ...url(), CERTSWEEP_REDIS_TLS_CA_FILE: join(folder, name) };
    await expect(ask(environment)).rejects.toThrow(`redis.tls.caFile ${join(folder, name)} ${why}: give a file`);
  });
});

describe('no encryption', () => {
  it.each([
    [{ host: '10.0.0.5' }, true],
    [{ host: 'redis' }, true],
    [{ host: '127.evil.example' }, true],
    [{ sentinels: [{ host: '127.0.0.1' }, { host: 'a' }] }, true],
    [{ sentinels: [{ host: '127.0.0.1' }] }, false],
    [{ host: '127.0.0.1' }, false],
    [{ host: '::1' }, false],
    [{ host: 'localhost' }, false],
    [{ path: '/run/redis.sock' }, false],
    [{ host: '10.0.0.5', tls: {} }, false],
  ])('%j: %s', (options, expected) => {
    expect(isUnencrypted(options)).toBe(expected);
  });
});
