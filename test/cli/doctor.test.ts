import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Check } from '../../src/doctor/check.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import { ACCOUNT_KEY, INSTANCE, openInstallation, settingsOf, type Installation } from '../support/installation.ts';

let sandbox: Sandbox;
let installation: Installation;

beforeEach(async () => {
  sandbox = await startSandbox({ accounts: [{ ...ACCOUNT_KEY, instances: [INSTANCE] }], registry: 'open' });
  // Where the machine is busy, slots have time.
  installation = await openInstallation(settingsOf(sandbox.url, { limiter: { lateMs: 200 } }));
});
afterEach(async () => {
  await installation.remove();
  await sandbox.close();
});

it('prints aligned lines without colours, and ends with 0 when all is well', async () => {
  const { code, stdout, stderr } = await installation.run(['doctor']);
  expect(`${code} ${stdout}`).toMatch(/^0 /);
  const lines = stdout.trimEnd().split('\n');
  expect(
    lines.every((line) => /^(ok {2}|warn|fail) {2}[a-z ]{14} {2}\S/.test(line) || /^ {22}fix: \S/.test(line)),
  ).toBe(true);
  expect(stdout).not.toContain('\u001B');
  expect(stderr).toContain('0 failed');
  // The embedded Redis that it started is stopped again.
  expect(await installation.serverPid()).toBeUndefined();
});

it('prints one object with --json', async () => {
  const { code, stdout } = await installation.run(['doctor', '--json']);
  const { ok, checks } = JSON.parse(stdout) as { readonly ok: boolean; readonly checks: readonly Check[] };
  expect({ code, ok }).toEqual({ code: 0, ok: true });
  expect(checks.length).toBeGreaterThan(8);
});

it('ends with 3 when a key is refused, and says no secret', async () => {
  const env = { FLEET_KEY_SECRET: 'quite-another-secret' };
  const { code, stdout, stderr } = await installation.run(['doctor', '--json'], { env });
  expect(code).toBe(3);
  expect(JSON.parse(stdout)).toMatchObject({ ok: false });
  expect(stdout).toContain('SignatureDoesNotMatch');
  expect(stdout + stderr).not.toMatch(/quite-another-secret|fleet-key-id/);
});

it('ends with 2 when the configuration is wrong, and says what to write', async () => {
  const broken = await installation.configure(settingsOf(sandbox.url, { egress: { qps: 300 } }), 'broken.yaml');
  const { code, stdout } = await installation.run(['doctor', '--config', broken]);
  expect(code).toBe(2);
  expect(stdout).toMatch(/^fail {2}configuration .*egress\.qps is 300\n {22}fix: stay below 300/);
});

it('ends with 2 when a variable with a key is not set, and looks at the rest', async () => {
  const { code, stdout } = await installation.run(['doctor'], { env: { FLEET_KEY_SECRET: undefined } });
  expect(code).toBe(2);
  expect(stdout).toContain('FLEET_KEY_SECRET not set');
  expect(stdout).toMatch(/^ok {4}redis /m);
  expect(sandbox.seen().byOperation).not.toHaveProperty('ListDeviceCertificate');
});

it('counts the workers that are connected', async () => {
  const worker = installation.start(['worker']);
  await worker.says('"worker-started"');
  const { stdout } = await installation.run(['doctor']);
  expect(stdout).toMatch(/^ok {4}egress quota .*workers connected, of any egress: 1$/m);
});
