import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { expect, it } from 'vitest';
import { checkConfiguration, checkDisk, refusedConfiguration } from '../../src/doctor/configuration.ts';
import { ConfigError } from '../../src/runtime/config/faults.ts';
import { loadConfig } from '../../src/runtime/config/load-config.ts';
import { expectFixes } from './patient.ts';

const account = { CERTSWEEP_REGION: 'cn-hangzhou', CERTSWEEP_INSTANCES: 'post-cn-a,post-cn-b' };

it('names the source, accounts and instances', async () => {
  const [check, ...others] = checkConfiguration(await loadConfig({ environment: account }), account);
  expect(others).toEqual([]);
  expect(check).toEqual({
    name: 'configuration',
    state: 'ok',
    found:
      'from the environment alone: account default with 2 instances at https://onsmqtt.cn-hangzhou.aliyuncs.com, the default credentials chain',
  });
});

it('fails without any account, since no worker would start', async () => {
  const checks = checkConfiguration(await loadConfig({ environment: {} }), {});
  expect(checks.map(({ state }) => state)).toEqual(['fail']);
  expectFixes(checks);
});

it('fails for each account whose variables are not set, naming them', async () => {
  const config = await loadConfig({ environment: account });
  const [only] = config.accounts;
  if (only === undefined) throw new Error('the configuration has no account');
  const credentials = { accessKeyIdEnv: 'CLINIC_ID', accessKeySecretEnv: 'CLINIC_SECRET' };
  const named = { ...config, accounts: [{ ...only, credentials }] };
  const checks = checkConfiguration(named, { CLINIC_ID: 'an-id' });
  expect(checks.map(({ state }) => state)).toEqual(['ok', 'fail']);
  expect(checks[1]?.found).toBe('account default: CLINIC_SECRET not set');
  expectFixes(checks);
  expect(JSON.stringify(checks)).not.toContain('an-id');
});

it('makes one check of each fault of a refused configuration', async () => {
  const environment = { CERTSWEEP_EGRESS_QPS: '300', CERTSWEEP_NOT_FOUND: 'perhaps' };
  const error: unknown = await loadConfig({ environment }).catch((thrown: unknown) => thrown);
  if (!(error instanceof ConfigError)) throw new Error('it was not refused');
  const checks = refusedConfiguration(error);
  expect(checks.map(({ state }) => state)).toEqual(['fail', 'fail']);
  expect(checks.map(({ found }) => found).join()).toContain('CERTSWEEP_EGRESS_QPS is 300');
  expectFixes(checks);
});

it('measures the disk of a data directory that is not there yet', async () => {
  const config = await loadConfig({ environment: {} });
  const dataDir = join(tmpdir(), 'certsweep-absent', 'below', 'it');
  const check = await checkDisk({ ...config, dataDir });
  expect(check.found).toMatch(/^.*certsweep-absent\/below\/it: [\d.]+ [MG]iB free$/);
});
