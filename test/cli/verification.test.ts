import { afterAll, beforeAll, expect, it } from 'vitest';
import { openInstallation, type Installation } from '../support/installation.ts';

let installation: Installation;
beforeAll(async () => {
  installation = await openInstallation();
});
afterAll(() => installation.remove());

const OFF = { env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } };
const REMEDY = /NODE_TLS_REJECT_UNAUTHORIZED is 0.*unset it, .* NODE_EXTRA_CA_CERTS.* redis\.tls\.caFile/s;

it('a worker does not start while certificates are not verified', async () => {
  const { code, stderr } = await installation.run(['worker'], OFF);
  expect(code).toBe(3);
  expect(stderr).toMatch(REMEDY);
});

it('doctor looks at nothing while certificates are not verified', async () => {
  const { code, stdout } = await installation.run(['doctor'], OFF);
  expect(code).toBe(3);
  expect(stdout).toMatch(REMEDY);
  expect(stdout).not.toMatch(/^ok/m);
});
