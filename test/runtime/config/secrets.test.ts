import { describe, expect, it } from 'vitest';
import { faultsIn, faultsOf, errorOf, loadYaml } from './load.ts';

describe('a secret in the file is refused', () => {
  it.each([
    ['accounts: {eu: {accessKeyId: S3CRET}}', 'accounts.eu.accessKeyId', 'ALIBABA_CLOUD_ACCESS_KEY_ID'],
    ['accounts: {eu: {access_key_secret: S3CRET}}', 'accounts.eu.access_key_secret', 'ALIBABA_CLOUD_ACCESS_KEY_SECRET'],
    [
      'accounts: {eu: {credentials: {securityToken: 7}}}',
      'accounts.eu.credentials.securityToken',
      'ALIBABA_CLOUD_SECURITY_TOKEN',
    ],
    ['accessKeySecret: S3CRET', 'accessKeySecret', 'ALIBABA_CLOUD_ACCESS_KEY_SECRET'],
    ['redis: {password: S3CRET}', 'redis.password', 'CERTSWEEP_REDIS_URL'],
    ['password: S3CRET', 'password', 'CERTSWEEP_REDIS_URL'],
  ])('%s, naming the variable', async (yaml, path, variable) => {
    const remedy: unknown = expect.stringMatching(new RegExp(`secrets do not belong in this file.* ${variable}\\b`));
    expect(await faultsIn(yaml)).toContainEqual({ path, value: '***', remedy });
  });
});

/** However a secret comes to stand where it should not, no message repeats it. */
describe('no message shows', () => {
  it.each([
    'redis: {url: "redis://user:S3CRET@"}',
    'redis: {url: "redis://user:x#S3CRET@host:6379"}',
    'redis: {url: "redis://user:12/S3CRET@host"}',
    'redis: {url: "redis://user:a@S3CRET@host/x"}',
    'redis: {url: "redis://:S3CRET"}',
    'redis: {url: "redis://host/x?password=S3CRET"}',
    'redis: {url: "http://user:S3CRET@host"}',
    'redis: {url: "user:S3CRET@host"}',
    'redis: redis://user:S3CRET@host',
    'redisUrl: redis://user:S3CRET@host',
    'redis: {url: redis://user:S3CRET@host}\nlog: {level: loud}',
    'redis: {url: *S3CRET}',
    'redis: {url: %S3CRET}',
    'redis: {url: "S3CRET}',
    'redis: {url: x, url: S3CRET}',
    'nonsense: {deep: {accessKeySecret: S3CRET}}',
    'accounts: {eu: {region: us-west-1, instances: [a], credentials: {accessKeyIdEnv: s3-S3CRET, accessKeySecretEnv: s3+S3CRET}}}',
    'accounts: {eu: {region: us-west-1, instances: [a], credentials: s3-S3CRET}}',
    'accounts: {eu: {endpoint: "https://user:S3CRET@host", instances: [a]}}',
    'accounts: {eu: {region: LTAIS3CRET, instances: [a]}}',
    '- password: S3CRET',
    'S3CRET',
  ])('%s', async (yaml) => {
    const error = await errorOf(loadYaml(yaml));
    expect(JSON.stringify([error.message, error.faults, error.stack])).not.toContain('S3CRET');
  });

  it.each(['CERTSWEEP_REDIS_URL', 'CERTSWEEP_PASSWORD', 'CERTSWEEP_REDIS_URI', 'CERTSWEEP_ACCESS_KEY_SECRET'])(
    'the variable %s',
    async (name) => {
      const faults = await faultsOf({ [name]: 'redis://user:S3CRET' });
      expect(faults).toHaveLength(1);
      expect(JSON.stringify(faults)).not.toContain('S3CRET');
    },
  );

  it('a masked URL as if it were nothing: scheme and host stay', async () => {
    const [fault] = await faultsIn('redis: {url: "redis://user:pass@host:6379/x"}');
    expect(fault?.value).toBe('"redis://***@host:6379/x"');
  });
});
