import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import { ACCOUNT_KEY, INSTANCE, openInstallation, settingsOf, type Installation } from '../support/installation.ts';
import { startSingle } from '../support/redis-topology.ts';

let sandbox: Sandbox;
let installation: Installation;
beforeEach(async () => {
  sandbox = await startSandbox({ accounts: [{ ...ACCOUNT_KEY, instances: [INSTANCE] }], registry: 'open' });
  installation = await openInstallation(settingsOf(sandbox.url, { limiter: { lateMs: 200 } }));
});
afterEach(async () => {
  await installation.remove();
  await sandbox.close();
});

/** Writes each secret into a file of its own. @returns the variables that name the files, and none that holds a secret */
async function filed(secrets: Readonly<Record<string, string>>): Promise<Record<string, string | undefined>> {
  const named = Object.entries(secrets).map(async ([name, secret]) => [
    [`${name}_FILE`, await installation.file(name, `${secret}\n`)],
    [name, undefined],
  ]);
  return Object.fromEntries((await Promise.all(named)).flat());
}

it('a key comes from the files that the variables of an account name', async () => {
  const env = await filed({ FLEET_KEY_ID: ACCOUNT_KEY.accessKeyId, FLEET_KEY_SECRET: ACCOUNT_KEY.accessKeySecret });
  const { stdout } = await installation.run(['doctor'], { env });
  expect(stdout).toMatch(/^ok {4}credentials .*key accepted/m);
  const worker = installation.start(['worker'], { env });
  await worker.says('"worker-started"');
});

it('a key of the default chain comes from files, too', async () => {
  const { accessKeyId, accessKeySecret } = ACCOUNT_KEY;
  const env = await filed({
    ALIBABA_CLOUD_ACCESS_KEY_ID: accessKeyId,
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: accessKeySecret,
  });
  await installation.configure({ accounts: { fleet: { endpoint: sandbox.url, instances: [INSTANCE] } } });
  const { stdout } = await installation.run(['doctor'], { env });
  expect(stdout).toMatch(/^ok {4}credentials .*key accepted/m);
});

it('a file that cannot be read is named, and so is one beside its variable; neither shows a secret', async () => {
  const env = await filed({ FLEET_KEY_ID: 'S3CRET-1' });
  const gone = { ...env, FLEET_KEY_ID_FILE: join(installation.folder, 'gone') };
  const missing = await installation.run(['worker'], { env: gone });
  expect(missing.code).toBe(2);
  expect(missing.stderr).toContain(`FLEET_KEY_ID_FILE names ${gone.FLEET_KEY_ID_FILE}, which cannot be read (ENOENT)`);
  const both = await installation.run(['doctor'], { env: { ...env, FLEET_KEY_ID: 'S3CRET-2' } });
  expect(both.code).toBe(2);
  expect(both.stdout).toContain('both FLEET_KEY_ID and FLEET_KEY_ID_FILE are set: unset one of them');
  expect(both.stdout + both.stderr + missing.stderr).not.toContain('S3CRET');
});

it('the URL of Redis, with its password, comes from a file', async () => {
  const single = await startSingle();
  try {
    await single.client.config('SET', 'requirepass', 'S3CRET');
    const env = await filed({ CERTSWEEP_REDIS_URL: `redis://:S3CRET@127.0.0.1:${single.port}` });
    const { code, stderr } = await installation.run(['status'], { env });
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const wrong = await installation.run(['status'], { env: { ...env, CERTSWEEP_REDIS_URL_FILE: '/nowhere/url' } });
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain('CERTSWEEP_REDIS_URL_FILE names /nowhere/url, which cannot be read (ENOENT)');
  } finally {
    await single.stop();
  }
});
