import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { Ledger } from '../../src/ledger/ledger.ts';
import { openHaltStore, readHalts } from '../../src/limiter/halts/halt-store.ts';
import { openLimiter } from '../../src/limiter/limiter.ts';
import { readPace } from '../../src/limiter/pace/read-pace.ts';
import { KEY_PREFIX } from '../../src/queue/contract.ts';
import { connect } from '../../src/runtime/redis/connection.ts';
import type { FaultPlan } from '../../src/sandbox/fault-plan.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { ACCOUNT, complaints, examined, foundOf, INSTANCE, NOWHERE, statesOf } from './patient.ts';

/** How the sandbox counts the unsigned question for its time. */
const CLOCK = '(unknown)';

let server: TestRedis;
let redis: Redis;
let sandbox: Sandbox;

beforeAll(async () => {
  server = await startTestRedis();
  redis = connect(server, 'producer', () => undefined);
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});
beforeEach(async () => {
  await redis.flushdb();
  sandbox = await startSandbox({ accounts: [ACCOUNT], registry: 'open' });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await sandbox.close();
});

const ask = (changes: Partial<Parameters<typeof examined>[0]> = {}): ReturnType<typeof examined> =>
  examined({ endpoint: sandbox.url, dataDir: server.dataDir, ...changes });

/** The account's limiter, as a worker has it. */
const limiter = () => ({
  redis,
  prefix: KEY_PREFIX,
  account: { name: 'clinic', qps: 480 },
  egress: { id: 'default', qps: 280 },
  lateMs: 25,
});

it('finds a healthy installation well, and changes nothing there', async () => {
  const checks = await ask({ instances: ACCOUNT.instances });
  expect(complaints(checks)).toEqual([]);
  expect(statesOf(checks, 'credentials')).toEqual(['ok', 'ok']);
  expect(new Set(checks.map(({ name }) => name))).toEqual(
    new Set([
      'configuration',
      'disk',
      'redis',
      'redis clock',
      'halts',
      'batches',
      'endpoint',
      'endpoint clock',
      'credentials',
      'permissions',
      'account quota',
      'egress quota',
    ]),
  );
  expect(foundOf(checks, 'redis')).toMatch(/(redis|valkey) \d+\.\d+.*keeps aof, noeviction, round trip [\d.]+ ms/);
  const seen = sandbox.seen();
  expect(seen.byOperation).toEqual({
    [CLOCK]: 1,
    ListDeviceCertificate: 2,
    ListDeviceCertificateByCaSn: 2,
    ListCaCertificate: 2,
    GetCaCertificate: 2,
    GetDeviceCertificate: 2,
  });
  expect(seen.deletions).toBe(0);
});

it('takes a slot of the address for each call that it makes', async () => {
  await ask({ instances: ACCOUNT.instances });
  const calls = Object.values(sandbox.seen().egress).reduce((sum, egress) => sum + egress.calls, 0);
  expect(calls).toBe(11);
  // On a busy host a slot may be void before it is used, and another is taken.
  const [egress, account] = await Promise.all([
    readPace(redis, KEY_PREFIX, { egress: 'default' }),
    readPace(redis, KEY_PREFIX, { account: 'clinic' }),
  ]);
  expect(egress?.given).toBeGreaterThanOrEqual(calls);
  expect(account?.given).toBe(egress?.given);
});

it('reports a wrong secret, once for all instances of the account', async () => {
  const checks = await ask({ instances: ACCOUNT.instances, secret: 'not-the-secret' });
  expect(statesOf(checks, 'credentials')).toEqual(['fail', 'warn']);
  expect(foundOf(checks, 'credentials')).toContain('SignatureDoesNotMatch');
  expect(checks.find(({ name }) => name === 'credentials')?.fix).toContain('PATIENT_ID');
  expect(sandbox.seen().byOperation).toEqual({ [CLOCK]: 1, ListDeviceCertificate: 1 });
});

it('reports an instance that the account does not have, and checks the others', async () => {
  const checks = await ask({ instances: ['post-cn-wrong', INSTANCE] });
  expect(statesOf(checks, 'credentials')).toEqual(['fail', 'ok']);
  expect(foundOf(checks, 'credentials')).toContain('post-cn-wrong: MqttInstanceNotFound');
});

it('continues with the endpoint without Redis, but makes no signed call', async () => {
  const checks = await ask({ settings: { redis: { url: `redis://:hidden-word@${NOWHERE}` } } });
  expect(statesOf(checks, 'redis')).toEqual(['fail']);
  expect(statesOf(checks, 'endpoint')).toEqual(['ok']);
  expect(statesOf(checks, 'credentials')).toEqual(['warn']);
  expect(foundOf(checks, 'credentials')).toContain('without Redis there are no slots');
  expect(statesOf(checks, 'egress quota')).toEqual(['ok']);
  expect(JSON.stringify(checks)).not.toContain('hidden-word');
  expect(sandbox.seen().calls).toBe(1);
});

it('continues with all else when the endpoint does not answer', async () => {
  const checks = await ask({ endpoint: `http://${NOWHERE}` });
  expect(statesOf(checks, 'endpoint')).toEqual(['fail']);
  expect(foundOf(checks, 'credentials')).toContain('does not answer');
  expect(statesOf(checks, 'credentials')).toEqual(['warn']);
  expect(statesOf(checks, 'redis')).toEqual(['ok']);
  expect(statesOf(checks, 'account quota')).toEqual(['ok']);
});

it.each(['account', 'instance'] as const)(
  'shows a halt of an %s, and looks at it without using its probe or lifting it',
  async (scope) => {
    // Its probe is due at once; one that the doctor took would be missed by the workers.
    await openHaltStore(limiter(), 0).mark(scope, INSTANCE, 'Forbidden.RAM', 'not allowed');
    const halts = await readHalts(redis, KEY_PREFIX);
    const checks = await ask();
    expect(statesOf(checks, 'halts')).toEqual(['fail']);
    expect(foundOf(checks, 'halts')).toMatch(
      new RegExp(`^${scope} .* is halted since .*: Forbidden.RAM: not allowed$`),
    );
    expect(statesOf(checks, 'credentials')).toEqual(['ok']);
    expect(await readHalts(redis, KEY_PREFIX)).toEqual(halts);
  },
);

it('shows paused batches and why', async () => {
  const ledger = new Ledger(redis, KEY_PREFIX);
  await ledger.direct.adopt('direct-clinic', 'job-1', { instanceId: INSTANCE, caSn: 'CA', deviceSn: '1' });
  await ledger.batches.change('direct-clinic', 'pause', { pausedBecause: 'too many of them are dead' });
  const checks = await ask();
  expect(statesOf(checks, 'batches')).toEqual(['warn']);
  expect(foundOf(checks, 'batches')).toContain('direct-clinic is paused: too many of them are dead');
});

it('shows an account that throttling has slowed down', async () => {
  const pacer = openLimiter(limiter());
  const grant = await pacer.take({ instanceId: INSTANCE, isUrgent: false });
  if (grant.kind !== 'slot') throw new Error(`no slot, but ${grant.kind}`);
  await grant.report({ kind: 'throttled', retryAfterMs: 0 });
  await pacer.close();
  const checks = await ask();
  expect(statesOf(checks, 'account quota')).toEqual(['warn']);
  expect(foundOf(checks, 'account quota')).toMatch(/slowed to \d\d% by throttling answers/);
});

it('reports a Redis that may evict jobs', async () => {
  await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
  try {
    const checks = await ask();
    expect(statesOf(checks, 'redis')).toContain('fail');
    expect(foundOf(checks, 'redis')).toContain('maxmemory-policy is allkeys-lru');
    expect(statesOf(checks, 'credentials')).toEqual(['ok']);
  } finally {
    await redis.config('SET', 'maxmemory-policy', 'noeviction');
  }
});

it('reports a clock of this host that the endpoint would refuse', async () => {
  const now = Date.now.bind(Date);
  // The sandbox' Date header and Redis keep the true time.
  vi.spyOn(Date, 'now').mockImplementation(() => now() + 20 * 60_000);
  const checks = await ask();
  expect(statesOf(checks, 'redis clock')).toEqual(['warn']);
  expect(foundOf(checks, 'redis clock')).toContain('this host is 1200 s ahead of Redis');
  expect(statesOf(checks, 'endpoint clock')).toEqual(['fail']);
});

it('warns of a read that is not granted, and names what it does not try', async () => {
  const plan: FaultPlan = {
    seed: 1,
    faults: [{ kind: 'code', code: 'Forbidden.RAM', operations: ['ListDeviceCertificateByCaSn'], times: 'always' }],
  };
  sandbox.setPlan(plan);
  const checks = await ask();
  expect(complaints(checks)).toEqual([expect.stringMatching(/^warn permissions: .*list by CA: Forbidden\.RAM$/)]);
  const found = checks.filter(({ name }) => name === 'permissions').map((check) => check.found);
  expect(found).toContainEqual(expect.stringMatching(/may list CAs, read a CA, read a certificate$/));
  expect(found).toContainEqual(
    expect.stringMatching(/since it changes something: .*mq:UnregisterDeviceCertificate.*mq:DeleteCaCertificate/),
  );
});
