import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { ACCOUNT, call, CERTIFICATE, NEIGHBOUR, remove, startTestSandbox, type Call } from './call.ts';

const TEMPORARY = { accessKeyId: 'sts', accessKeySecret: 's', securityToken: 'token', instances: ['post-cn-own'] };
let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startTestSandbox({ accounts: [ACCOUNT, NEIGHBOUR, TEMPORARY] });
});
afterAll(() => sandbox.close());

const deviceSn = 'checked-first';
const minutesAgo = (minutes: number): string =>
  new Date(Date.now() - minutes * 60_000).toISOString().replace(/\.\d+Z$/, 'Z');

/** Each is `DeleteDeviceCertificate` with one thing wrong. */
const REFUSALS: readonly (readonly [string, Partial<Call>, string, number])[] = [
  ['an unknown key', { account: { accessKeyId: 'nobody', accessKeySecret: 's' } }, 'InvalidAccessKeyId.NotFound', 404],
  ['a wrong secret', { account: { ...ACCOUNT, accessKeySecret: 'wrong' } }, 'SignatureDoesNotMatch', 400],
  [
    'a foreign token',
    { account: { ...TEMPORARY, securityToken: 'old' } },
    'InvalidSecurityToken.MismatchWithAccessKey',
    400,
  ],
  [
    'no token',
    { account: { accessKeyId: 'sts', accessKeySecret: 's' } },
    'InvalidSecurityToken.MismatchWithAccessKey',
    400,
  ],
  ['another version', { parameters: { Version: '2019-12-10' } }, 'InvalidVersion', 400],
  ['another signature method', { parameters: { SignatureMethod: 'HMAC-SHA256' } }, 'IncompleteSignature', 400],
  ['a clock behind', { parameters: { Timestamp: minutesAgo(16) } }, 'InvalidTimeStamp.Expired', 400],
  ['a clock ahead', { parameters: { Timestamp: minutesAgo(-16) } }, 'InvalidTimeStamp.Expired', 400],
  ['a local time', { parameters: { Timestamp: '2026-01-01 08:00:00' } }, 'InvalidTimeStamp.Format', 400],
  ['an unknown operation', { action: 'DeleteEverything' }, 'InvalidApi.NotFound', 404],
  ['a change by GET', { method: 'GET' }, 'UnsupportedHTTPMethod', 400],
  ['a read by POST', { action: 'GetDeviceCertificate' }, 'UnsupportedHTTPMethod', 400],
  ['no nonce', { parameters: { SignatureNonce: '' } }, 'MissingSignatureNonce', 400],
  ['no serial number', { parameters: { DeviceSn: '' } }, 'MissingDeviceSn', 400],
  ['a serial number too long', { parameters: { DeviceSn: 'x'.repeat(129) } }, 'ParameterFieldCheckFailed', 400],
];

describe('the gateway', () => {
  it.each(REFUSALS)('refuses %s', async (_, wrong, code, status) => {
    const seen = await remove(sandbox, { ...CERTIFICATE, deviceSn }, wrong);
    expect(seen).toMatchObject({ kind: 'code', code, status, data: { Code: code } });
    expect(sandbox.has({ ...CERTIFICATE, deviceSn })).toBe(true);
  });

  it.each([
    ['of another account', 'post-cn-other', 'MqttOwnerCheckError'],
    ['that exists nowhere', 'post-cn-none', 'MqttInstanceNotFound'],
  ])('refuses an instance %s', async (_, instanceId, code) => {
    expect(await remove(sandbox, { ...CERTIFICATE, instanceId })).toMatchObject({ kind: 'code', code });
  });

  it('takes a nonce once, and only from the key that owns it', async () => {
    const parameters = { SignatureNonce: 'once' };
    expect(
      await remove(sandbox, CERTIFICATE, { parameters, account: { ...ACCOUNT, accessKeySecret: 'forged' } }),
    ).toMatchObject({
      code: 'SignatureDoesNotMatch',
    });
    expect(await remove(sandbox, CERTIFICATE, { parameters })).toMatchObject({ kind: 'resolved', status: 200 });
    expect(await remove(sandbox, CERTIFICATE, { parameters })).toMatchObject({ code: 'SignatureNonceUsed' });
  });

  it('takes a temporary key with its token', async () => {
    expect(await remove(sandbox, { ...CERTIFICATE, deviceSn: 'by-sts' }, { account: TEMPORARY })).toMatchObject({
      kind: 'resolved',
    });
  });

  it('refuses a body it cannot read, and calls without anything', async () => {
    const broken = await fetch(sandbox.url, { method: 'POST', body: 'Action=%E0%A4' });
    expect([broken.status, await broken.json()]).toMatchObject([400, { Code: 'InvalidParameter' }]);
    const bare = await fetch(sandbox.url);
    expect([bare.status, await bare.json()]).toMatchObject([400, { Code: 'MissingAction' }]);
  });

  it('gives each answer a request id, an upper-case UUID', async () => {
    const seen = await call(sandbox, { action: 'Nothing' });
    const id = /^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/;
    expect(seen).toMatchObject({ data: { RequestId: expect.stringMatching(id), HostId: expect.any(String) } });
  });
});
