import { get } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isLoopback } from '../../src/sandbox/control.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { ACCOUNT, CERTIFICATE, remove, startTestSandbox } from './call.ts';
import { LOOPBACK_CERTIFICATE, LOOPBACK_KEY } from './loopback-certificate.ts';

let sandbox: Sandbox;
beforeEach(async () => {
  sandbox = await startTestSandbox();
});
afterEach(() => sandbox.close());

async function control(path: string, body?: unknown, type = 'application/json'): Promise<readonly [number, unknown]> {
  const headers = { 'content-type': type };
  const init = body === undefined ? {} : { method: 'POST', headers, body: JSON.stringify(body) };
  const response = await fetch(`${sandbox.url}${path}`, init);
  return [response.status, await response.json()];
}

describe('the report', () => {
  it('says who called what, how often and with what end', async () => {
    await remove(sandbox, CERTIFICATE);
    for (let again = 0; again < 2; again += 1) await remove(sandbox, CERTIFICATE);
    await remove(sandbox, { ...CERTIFICATE, deviceSn: 'twice' });
    await remove(sandbox, { ...CERTIFICATE, deviceSn: 'twice' });
    await remove(sandbox, { ...CERTIFICATE, deviceSn: 'once' });
    await remove(sandbox, CERTIFICATE, { action: 'Nothing' });
    const seen = sandbox.seen();
    expect(seen).toMatchObject({
      calls: 7,
      byOperation: { DeleteDeviceCertificate: 6, '(unknown)': 1 },
      byCode: { OK: 3, FindDeviceBySnError: 3, 'InvalidApi.NotFound': 1 },
      byFault: {},
      accounts: { testid: { calls: 7, overQuota: 0 } },
      egress: { '127.0.0.1': { calls: 7, overQuota: 0, blocks: 0, blocked: false } },
      deletions: 3,
      certificates: { called: 3, calledAgain: 2, byCalls: { 2: 1, 3: 1 } },
    });
    expect(seen.worstLagMs).toBeGreaterThanOrEqual(0);
    const text = JSON.stringify(seen);
    expect(text).not.toContain(ACCOUNT.accessKeySecret);
    expect(text).not.toContain('Signature');
  });

  it('is served to its own machine, and reading it is no call', async () => {
    await remove(sandbox, CERTIFICATE);
    const [status, body] = await control('/-/seen');
    expect(status).toBe(200);
    expect(body).toEqual({ ...sandbox.seen(), worstLagMs: expect.any(Number) });
    expect(sandbox.seen().calls).toBe(1);
  });
});

describe('the control paths', () => {
  it('set a plan, or say what is wrong with it', async () => {
    expect(await control('/-/plan', { seed: 1, faults: [{ kind: 'empty-object' }] })).toEqual([200, { ok: true }]);
    expect(await remove(sandbox, CERTIFICATE)).toMatchObject({ kind: 'resolved', body: {} });
    const [status, body] = await control('/-/plan', { seed: 1, faults: [{ kind: 'flood' }] });
    expect([status, body]).toMatchObject([400, { error: expect.stringContaining('faults[0].kind: "flood"') }]);
  });

  it('revoke and restore a key', async () => {
    const accessKeyId = 'testid';
    expect(await control('/-/keys/revoke', { accessKeyId, code: 'Forbidden.RAM' })).toEqual([200, { ok: true }]);
    expect(await remove(sandbox, CERTIFICATE)).toMatchObject({ kind: 'code', code: 'Forbidden.RAM', status: 403 });
    expect(await control('/-/keys/restore', { accessKeyId })).toEqual([200, { ok: true }]);
    expect(await remove(sandbox, CERTIFICATE)).toMatchObject({ kind: 'resolved' });
  });

  it('say what they miss', async () => {
    expect(await control('/-/keys/revoke', { accessKeyId: 'nobody', code: 'X' })).toEqual([
      400,
      { error: 'accessKeyId: no account has "nobody", give one of the sandbox\'s own accounts' },
    ]);
    expect(await control('/-/keys/revoke', { accessKeyId: 'testid' })).toMatchObject([400, {}]);
    expect(await control('/-/keys/restore', [])).toMatchObject([400, { error: 'accessKeyId: missing, name the key' }]);
    expect(await control('/-/nothing')).toMatchObject([404, {}]);
  });

  it('take nothing that a web page can have a browser send without asking', async () => {
    const revoke = { accessKeyId: 'testid', code: 'Forbidden.RAM' };
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
      expect(await control('/-/keys/revoke', revoke, type)).toMatchObject([415, {}]);
    }
    expect(await remove(sandbox, CERTIFICATE)).toMatchObject({ kind: 'resolved' });
    expect(await control('/-/keys/revoke', revoke, 'application/json; charset=utf-8')).toEqual([200, { ok: true }]);
  });

  it('are not for a web page whose name leads to this machine', async () => {
    const statusFor = (host: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        get(`${sandbox.url}/-/seen`, { headers: { host } }, (response) => {
          response.resume();
          resolve(response.statusCode);
        }).on('error', reject);
      });
    const { port } = new URL(sandbox.url);
    for (const name of ['localhost', '127.0.0.1', '[::1]']) expect(await statusFor(`${name}:${port}`)).toBe(200);
    for (const name of ['evil.example', '127.0.0.1.evil.example', 'localhost.evil.example'])
      expect(await statusFor(`${name}:${port}`)).toBe(403);
  });

  it('are for loopback addresses', () => {
    expect(['127.0.0.1', '127.9.9.9', '::1', '10.0.0.1', '12.7.0.1', ''].map((address) => isLoopback(address))).toEqual(
      [true, true, true, false, false, false],
    );
  });
});

describe('a sandbox', () => {
  it('speaks https with a key and a certificate', async () => {
    const secure = await startTestSandbox({ tls: { key: LOOPBACK_KEY, cert: LOOPBACK_CERTIFICATE } });
    try {
      expect(secure.url).toBe(`https://127.0.0.1:${secure.port}`);
      const options = { ca: LOOPBACK_CERTIFICATE };
      expect(await remove(secure, CERTIFICATE, { options })).toMatchObject({ kind: 'resolved', status: 200 });
      expect(await remove(secure, CERTIFICATE)).toMatchObject({ kind: 'failed' });
    } finally {
      await secure.close();
    }
  });

  it('with latency answers all the same, and closes while calls wait', async () => {
    const slow = await startTestSandbox({ latency: { kind: 'fixed', ms: 1 } });
    expect(await remove(slow, CERTIFICATE)).toMatchObject({ kind: 'resolved' });
    slow.setPlan({ seed: 1, faults: [{ kind: 'hang' }] });
    const waiting = remove(slow, { ...CERTIFICATE, deviceSn: 'waiting' });
    while (slow.seen().byFault['hang'] === undefined) await new Promise((resolve) => setImmediate(resolve));
    await slow.close();
    await slow.close();
    expect(await waiting).toMatchObject({ kind: 'failed', code: 'ECONNRESET' });
  });

  it('says which port it could not have', async () => {
    await expect(startTestSandbox({ port: sandbox.port })).rejects.toThrow(String(sandbox.port));
  });

  it('refuses to revoke a key nobody has', () => {
    expect(() => sandbox.revokeKey('nobody', 'Forbidden')).toThrow('no account has "nobody"');
  });
});
