import { inspect } from 'node:util';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  cacheCredentials,
  credentialsFromChain,
  credentialsFromEnvironment,
  FAILURE_LIFE_MS,
  KEY_LIFE_MS,
} from '../../src/mqtt/credentials.ts';
import { KEY, newCertificate, optionsFor, startTestSandbox, withClient } from './clients.ts';

const readerOf =
  (variables: Readonly<Record<string, string | undefined>>) =>
  (name: string): string | undefined =>
    variables[name];

describe('keys from the environment', () => {
  const names = { accessKeyId: 'MY_ID', accessKeySecret: 'MY_SECRET', securityToken: 'MY_TOKEN' };
  const full = { MY_ID: KEY.accessKeyId, MY_SECRET: KEY.accessKeySecret, MY_TOKEN: KEY.securityToken };

  it('are read under the names given, the token where one is named', async () => {
    expect(await credentialsFromEnvironment(names, readerOf(full)).get()).toEqual(KEY);
    const { accessKeyId, accessKeySecret } = names;
    const permanent = await credentialsFromEnvironment({ accessKeyId, accessKeySecret }, readerOf(full)).get();
    expect(permanent).toEqual({ accessKeyId: KEY.accessKeyId, accessKeySecret: KEY.accessKeySecret });
  });

  it.each(
    Object.keys(full).flatMap((name) => [
      [name, undefined, 'is not set'],
      [name, ' \n', 'is blank'],
      [name, 'S3cr3tValue\n', 'begins or ends with white space'],
    ]),
  )('without %s (%j) say so, and no more', async (name, value, why) => {
    const environment = { ...full, [name ?? '']: value };
    const error: unknown = await credentialsFromEnvironment(names, readerOf(environment))
      .get()
      .catch((caught: unknown) => caught);
    expect(error).toMatchObject({ message: expect.stringContaining(`${name} ${why}`) });
    for (const secret of [...Object.values(KEY), 'S3cr3tValue']) expect(inspect(error)).not.toContain(secret);
  });

  it('are read again once told that they are bad', async () => {
    const environment: Record<string, string> = { ...full };
    const source = credentialsFromEnvironment(names, readerOf(environment));
    await source.get();
    environment['MY_ID'] = 'LTAIrotated';
    expect(await source.get()).toEqual(KEY);
    source.invalidate();
    expect(await source.get()).toMatchObject({ accessKeyId: 'LTAIrotated' });
  });
});

describe('the cache', () => {
  let nowMs: number;
  let fetches: { isRefused: boolean; resolve: (id: string) => void; reject: (why: string) => void }[];
  let running: number;
  let mostRunning: number;
  beforeEach(() => {
    nowMs = 0;
    fetches = [];
    running = 0;
    mostRunning = 0;
  });
  const open = (): ReturnType<typeof cacheCredentials> =>
    cacheCredentials(
      async (isRefused) => {
        running += 1;
        mostRunning = Math.max(mostRunning, running);
        try {
          const accessKeyId = await new Promise<string>((resolve, reject) => {
            fetches.push({ isRefused, resolve, reject: (why) => reject(new Error(why)) });
          });
          return { ...KEY, accessKeyId };
        } finally {
          running -= 1;
        }
      },
      () => nowMs,
    );

  it('fetches once for fifty callers, and gives all the same object', async () => {
    const source = open();
    const all = Array.from({ length: 50 }, () => source.get());
    fetches[0]?.resolve('a');
    const keys = await Promise.all(all);
    expect(new Set(keys).size).toBe(1);
    expect(await source.get()).toBe(keys[0]);
    expect(fetches).toHaveLength(1);
  });

  it('keeps a key for its life and no longer', async () => {
    const source = open();
    const first = source.get();
    fetches[0]?.resolve('a');
    await first;
    nowMs = KEY_LIFE_MS - 1;
    await source.get();
    expect(fetches).toHaveLength(1);
    nowMs = KEY_LIFE_MS;
    const second = source.get();
    fetches[1]?.resolve('b');
    expect(await second).toMatchObject({ accessKeyId: 'b' });
    expect(fetches.map(({ isRefused }) => isRefused)).toEqual([false, false]);
  });

  it('fetches once more for all who come after a key was refused, however many say so', async () => {
    const source = open();
    const first = source.get();
    fetches[0]?.resolve('a');
    await first;
    for (let told = 0; told < 50; told += 1) source.invalidate();
    const all = Array.from({ length: 50 }, () => source.get());
    fetches[1]?.resolve('b');
    expect(new Set((await Promise.all(all)).map(({ accessKeyId }) => accessKeyId))).toEqual(new Set(['b']));
    expect(await source.get()).toMatchObject({ accessKeyId: 'b' });
    expect(fetches.map(({ isRefused }) => isRefused)).toEqual([false, true]);
    // But a new key can be bad, too.
    source.invalidate();
    const third = source.get();
    fetches[2]?.resolve('c');
    expect(await third).toMatchObject({ accessKeyId: 'c' });
  });

  it('gives those who come after a refusal no key whose fetching began before it', async () => {
    const source = open();
    const before = source.get();
    source.invalidate();
    const after = Array.from({ length: 50 }, () => source.get());
    fetches[0]?.resolve('a');
    expect(await before).toMatchObject({ accessKeyId: 'a' });
    await vi.waitFor(() => expect(fetches).toHaveLength(2), 60_000);
    fetches[1]?.resolve('b');
    expect(new Set((await Promise.all(after)).map(({ accessKeyId }) => accessKeyId))).toEqual(new Set(['b']));
    expect(fetches.map(({ isRefused }) => isRefused)).toEqual([false, true]);
    expect(mostRunning).toBe(1);
  });

  it('lets a failure stand for a moment, then tries again', async () => {
    const source = open();
    const all = Array.from({ length: 50 }, () => source.get().catch(String));
    fetches[0]?.reject('no route');
    expect(new Set(await Promise.all(all))).toEqual(new Set(['Error: no route']));
    nowMs = FAILURE_LIFE_MS - 1;
    await expect(source.get()).rejects.toThrow('no route');
    expect(fetches).toHaveLength(1);
    nowMs = FAILURE_LIFE_MS;
    const healed = source.get();
    fetches[1]?.resolve('a');
    expect(await healed).toMatchObject({ accessKeyId: 'a' });
    expect(fetches.map(({ isRefused }) => isRefused)).toEqual([false, true]);
  });
});

describe('the official chain', () => {
  let metadata: Server;
  let uri: string;
  let asked: number;
  let status: number;
  let slowest: number;
  beforeEach(async () => {
    asked = 0;
    status = 200;
    slowest = 0;
    let open = 0;
    metadata = createServer((_, response) => {
      asked += 1;
      open += 1;
      slowest = Math.max(slowest, open);
      setImmediate(() => {
        open -= 1;
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(
          JSON.stringify({
            Code: 'Success',
            AccessKeyId: KEY.accessKeyId,
            AccessKeySecret: KEY.accessKeySecret,
            SecurityToken: KEY.securityToken,
            Expiration: '2099-01-01T00:00:00Z',
          }),
        );
      });
    });
    metadata.listen(0, '127.0.0.1');
    await once(metadata, 'listening');
    const address = metadata.address();
    uri = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/key`;
    for (const name of ['ID', 'SECRET']) vi.stubEnv(`ALIBABA_CLOUD_ACCESS_KEY_${name}`, '');
    vi.stubEnv('ALIBABA_CLOUD_CLI_PROFILE_DISABLED', 'true');
    vi.stubEnv('ALIBABA_CLOUD_ECS_METADATA_DISABLED', 'true');
    vi.stubEnv('ALIBABA_CLOUD_CREDENTIALS_FILE', '/nonexistent/credentials');
    vi.stubEnv('ALIBABA_CLOUD_CREDENTIALS_URI', uri);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    metadata.closeAllConnections();
    metadata.close();
    await once(metadata, 'close');
  });

  it('gives one temporary key to fifty callers, and asks again only when the key was refused', async () => {
    const source = credentialsFromChain();
    const keys = await Promise.all(Array.from({ length: 50 }, () => source.get()));
    expect(keys[49]).toEqual(KEY);
    expect(new Set(keys).size).toBe(1);
    expect(asked).toBe(1);
    source.invalidate();
    await Promise.all(Array.from({ length: 50 }, () => source.get()));
    expect(asked).toBe(2);
    expect(slowest).toBe(1);
  });

  it('recovers from a failure of all its links, and its words hold no secret', async () => {
    status = 500;
    const source = credentialsFromChain();
    const error: unknown = await source.get().catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      message: expect.stringMatching(/^credentials: set ALIBABA_CLOUD_ACCESS_KEY_ID .*the chain says: /),
    });
    for (const secret of Object.values(KEY)) expect(inspect(error)).not.toContain(secret);
    // The chain's own last link would be the URI; only a new chain asks the environment.
    vi.stubEnv('ALIBABA_CLOUD_ACCESS_KEY_ID', 'LTAIfromEnvironment');
    vi.stubEnv('ALIBABA_CLOUD_ACCESS_KEY_SECRET', 'secretFromEnvironment');
    source.invalidate();
    expect(await source.get()).toEqual({
      accessKeyId: 'LTAIfromEnvironment',
      accessKeySecret: 'secretFromEnvironment',
    });
  });
});

describe('a client without credentials', () => {
  it('sends nothing and says why, and continues once they are there', async () => {
    const sandbox = await startTestSandbox();
    const environment: Record<string, string | undefined> = { TOKEN: KEY.securityToken, SECRET: KEY.accessKeySecret };
    const names = { accessKeyId: 'ID', accessKeySecret: 'SECRET', securityToken: 'TOKEN' };
    const credentials = credentialsFromEnvironment(names, readerOf(environment));
    await withClient(optionsFor(sandbox.url, { credentials }), async (client) => {
      const answer = await client.deleteDeviceCertificate(newCertificate());
      expect(answer).toEqual({
        kind: 'not-sent',
        reason: 'no-credentials',
        message: 'credentials: the environment variable ID is not set: set it, or ID_FILE',
      });
      expect(sandbox.seen().calls).toBe(0);
      environment['ID'] = KEY.accessKeyId;
      credentials.invalidate();
      expect(await client.deleteDeviceCertificate(newCertificate())).toMatchObject({ kind: 'accepted' });
    });
    await sandbox.close();
  });
});
