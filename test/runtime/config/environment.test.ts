import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { accountOf, missingCredentials } from '../../../src/runtime/config/config.ts';
import { DEFAULT_DIRECT } from '../../../src/core/direct-job.ts';
import { loadConfig } from '../../../src/runtime/config/load-config.ts';
import { faultsIn, faultsOf, loadYaml } from './load.ts';

const ONE_ACCOUNT = { CERTSWEEP_REGION: 'cn-hangzhou', CERTSWEEP_INSTANCES: 'post-1, post-2,' };
const FILE = `
accounts:
  eu:
    region: eu-central-1
    instances: [post-eu]
    credentials: {accessKeyIdEnv: CERTSWEEP_EU_ID, accessKeySecretEnv: EU_SECRET, securityTokenEnv: EU_TOKEN}
  cn: {region: cn-beijing, instances: [post-cn]}
`;

describe('the environment', () => {
  it('wins over the file, key by key', async () => {
    const yaml = 'egress: {id: nat-a, qps: 200}\nretry: {attempts: 3}\nredis: {url: redis://file}\ndataDir: /from/file';
    const config = await loadYaml(yaml, {
      CERTSWEEP_REDIS_URL: 'redis://:pass@environment',
      CERTSWEEP_DATA_DIR: 'from/environment',
      CERTSWEEP_EGRESS_QPS: '100',
      CERTSWEEP_EGRESS_LOCAL_ADDRESS: '::1',
      CERTSWEEP_NOT_FOUND: 'dead',
      CERTSWEEP_RETRY_BASE_MS: '20',
      CERTSWEEP_RETRY_CAP_MS: '30',
      CERTSWEEP_CALL_DEADLINE_MS: '900',
      CERTSWEEP_LATE_MS: '40',
      CERTSWEEP_HEALTH_PORT: '9000',
      CERTSWEEP_HEALTH_HOST: '::',
      CERTSWEEP_LOG_LEVEL: 'debug',
    });
    expect(config).toMatchObject({
      redis: { url: 'redis://:pass@environment' },
      dataDir: resolve('from/environment'),
      egress: { id: 'nat-a', qps: 100, localAddress: '::1' },
      notFound: 'dead',
      retry: { attempts: 3, baseMs: 20, capMs: 30 },
      callDeadlineMs: 900,
      limiter: { lateMs: 40 },
      health: { port: 9000, host: '::' },
      log: { level: 'debug' },
    });
    const also = await loadYaml(yaml, { CERTSWEEP_EGRESS_ID: 'nat-b', CERTSWEEP_RETRY_ATTEMPTS: '5' });
    expect([also.egress.id, also.retry.attempts]).toEqual(['nat-b', 5]);
  });

  it('overrides what is wrong in the file', async () => {
    expect((await loadYaml('log: {level: loud}', { CERTSWEEP_LOG_LEVEL: 'warn' })).log.level).toBe('warn');
  });

  it('names the file, unless one is given', async () => {
    const given = await loadYaml('notFound: dead', { CERTSWEEP_CONFIG: '/nowhere/at-all.yaml' });
    expect(given.notFound).toBe('dead');
    const [fault] = await faultsOf({ CERTSWEEP_CONFIG: '/nowhere/at-all.yaml' });
    expect(fault).toMatchObject({ path: 'CERTSWEEP_CONFIG', value: '/nowhere/at-all.yaml' });
  });

  it('defines one account without a file', async () => {
    const config = await loadConfig({ environment: { ...ONE_ACCOUNT, CERTSWEEP_ACCOUNT_QPS: '50' } });
    const endpoint = 'https://onsmqtt.cn-hangzhou.aliyuncs.com';
    const instances = ['post-1', 'post-2'];
    expect(config.accounts).toEqual([
      { name: 'default', region: 'cn-hangzhou', endpoint, instances, qps: 50, direct: DEFAULT_DIRECT },
    ]);
    const environment = { CERTSWEEP_ENDPOINT: 'http://127.0.0.1:8080', CERTSWEEP_INSTANCES: 'a' };
    const [sandbox] = (await loadConfig({ environment })).accounts;
    expect(sandbox).toEqual({
      name: 'default',
      endpoint: 'http://127.0.0.1:8080',
      instances: ['a'],
      qps: 480,
      direct: DEFAULT_DIRECT,
    });
  });

  it('says that its endpoint is trusted', async () => {
    const environment = { CERTSWEEP_ENDPOINT: 'https://onsmqtt.example', CERTSWEEP_INSTANCES: 'a' };
    const [fault] = await faultsOf(environment);
    expect(fault).toMatchObject({ path: 'CERTSWEEP_ENDPOINT', value: '"https://onsmqtt.example"' });
    const config = await loadConfig({ environment: { ...environment, CERTSWEEP_ENDPOINT_IS_TRUSTED: 'true' } });
    expect(config.accounts[0]?.endpoint).toBe('https://onsmqtt.example');
  });

  it('beside a file without accounts too', async () => {
    expect((await loadYaml('accounts: {}', ONE_ACCOUNT)).accounts).toHaveLength(1);
  });

  it('does not add an account to those of a file', async () => {
    const remedy: unknown = expect.stringMatching(/^unset it, or take the accounts out of \/.*certsweep\.yaml/);
    const faults = await faultsIn(FILE, ONE_ACCOUNT);
    expect(faults.map(({ path }) => path)).toEqual(['CERTSWEEP_REGION', 'CERTSWEEP_INSTANCES']);
    for (const fault of faults) expect(fault.remedy).toEqual(remedy);
  });

  it.each([
    ['CERTSWEEP_EGRESS_QPS', '3OO', '"3OO"', 'a whole number'],
    ['CERTSWEEP_EGRESS_QPS', '300', '300', 'stay below 300'],
    ['CERTSWEEP_EGRESS_QPS', '0x10', '"0x10"', 'a whole number'],
    ['CERTSWEEP_RETRY_BASE_MS', '30001', '30001', 'at most what retry.capMs is'],
    ['CERTSWEEP_HEALTH_PORT', '-1', '"-1"', 'from 1 to 65535'],
    ['CERTSWEEP_LOG_LEVEL', 'WARN', '"WARN"', 'trace, debug'],
    ['CERTSWEEP_DATA_DIR', '~/state', '"~/state"', 'without ~'],
    ['CERTSWEEP_LOG_LEVEL', '', '""', 'or unset it'],
    ['CERTSWEEP_REDIS_URL', '', '""', 'or unset it'],
    ['CERTSWEEP_QPS', '7', '***', 'known are CERTSWEEP_CONFIG'],
    ['CERTSWEEP_EGRES_ID', 'a', '***', 'did you mean CERTSWEEP_EGRESS_ID?'],
    ['CERTSWEEP_SOMETHING_ELSE', 'a', '***', 'known are CERTSWEEP_CONFIG, CERTSWEEP_REDIS_URL, '],
  ])('is refused by its own name: %s=%s', async (name, text, value, remedy) => {
    expect(await faultsOf({ [name]: text })).toEqual([{ path: name, value, remedy: expect.stringContaining(remedy) }]);
  });

  it('is refused by the names that an incomplete account lacks', async () => {
    expect(await faultsOf({ CERTSWEEP_ACCOUNT_QPS: '500' })).toEqual([
      { path: 'CERTSWEEP_INSTANCES', value: 'missing', remedy: expect.stringContaining('at least one') },
      { path: 'CERTSWEEP_ACCOUNT_QPS', value: '500', remedy: expect.stringContaining('stay below 500') },
      { path: 'CERTSWEEP_REGION', value: 'missing', remedy: expect.stringContaining('cn-hangzhou') },
    ]);
  });

  it('may hold credentials under names that begin like ours, where an account says so', async () => {
    const variables = { CERTSWEEP_EU_ID: 'id', OTHER: 'x' };
    expect((await loadYaml(FILE, variables)).accounts).toHaveLength(2);
    expect(await faultsIn('', variables)).toMatchObject([{ path: 'CERTSWEEP_EU_ID' }]);
  });

  it('may hold what Kubernetes says about a service named certsweep', async () => {
    const environment = {
      CERTSWEEP_SERVICE_HOST: '10.0.0.9',
      CERTSWEEP_SERVICE_PORT_METRICS: '9464',
      CERTSWEEP_PORT: 'tcp://10.0.0.9:9464',
      CERTSWEEP_PORT_9464_TCP_PROTO: 'tcp',
    };
    expect((await loadConfig({ environment })).source).toBe('environment');
    expect(await faultsOf({ CERTSWEEP_PORT: '9464' })).toMatchObject([{ path: 'CERTSWEEP_PORT' }]);
  });
});

describe('an account', () => {
  it('is found by its instance', async () => {
    const config = await loadYaml(FILE);
    expect(accountOf(config, 'post-cn')?.name).toBe('cn');
    expect(accountOf(config, 'post-eu')?.name).toBe('eu');
    expect(accountOf(config, 'post-us')).toBeUndefined();
  });

  it('says which variables its credentials lack', async () => {
    const [eu, cn] = (await loadYaml(FILE)).accounts;
    if (eu === undefined || cn === undefined) throw new Error('not two accounts');
    expect(missingCredentials(eu, { EU_SECRET: 'x', EU_TOKEN: '' })).toEqual(['CERTSWEEP_EU_ID', 'EU_TOKEN']);
    expect(missingCredentials(eu, { CERTSWEEP_EU_ID: 'a', EU_SECRET: 'x', EU_TOKEN: 't' })).toEqual([]);
    expect(missingCredentials(cn, {})).toEqual([]);
  });
});
