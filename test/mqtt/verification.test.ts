import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { endpointClockSkewMs } from '../../src/mqtt/endpoint.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { LOOPBACK_CERTIFICATE, LOOPBACK_KEY } from '../sandbox/loopback-certificate.ts';
import { newCertificate, optionsFor, startTestSandbox, withClient } from './clients.ts';

let sandbox: Sandbox;
beforeEach(async () => {
  sandbox = await startTestSandbox({ tls: { key: LOOPBACK_KEY, cert: LOOPBACK_CERTIFICATE } });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await sandbox.close();
});

it('gives nothing to an endpoint that nobody vouches for, whatever NODE_TLS_REJECT_UNAUTHORIZED says', async () => {
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
  const refused = { kind: 'network', code: 'DEPTH_ZERO_SELF_SIGNED_CERT', effect: 'none' };
  await withClient(optionsFor(sandbox.url), async (client) => {
    expect(await client.deleteDeviceCertificate(newCertificate())).toMatchObject(refused);
    expect(await client.readInstance('post-cn-own')).toMatchObject(refused);
  });
  expect(await endpointClockSkewMs(sandbox.url, { deadlineMs: 10_000 })).toMatchObject({ ok: false });
  expect(sandbox.seen().calls).toBe(0);
});
