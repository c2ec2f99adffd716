import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMqttClient, type MqttClient, type MqttClientOptions } from '../../src/mqtt/client.ts';
import type { CredentialSource } from '../../src/mqtt/credentials.ts';
import { parseForm } from '../../src/sandbox/rpc-signature.ts';
import {
  CERTIFICATE,
  KEY,
  holding,
  newCertificate,
  optionsFor,
  startTestSandbox,
  startWire,
  type Wire,
} from './clients.ts';

let wire: Wire;
let client: MqttClient;
beforeEach(async () => {
  wire = await startWire((_, response) => answer(response));
});
afterEach(async () => {
  client.close();
  await wire.close();
});
const answer = (response: ServerResponse): void => {
  response.end(JSON.stringify({ RequestId: 'r', DeviceSn: CERTIFICATE.deviceSn }));
};
const open = (rest: Partial<MqttClientOptions> = {}): void => {
  client = createMqttClient(optionsFor(wire.url, rest));
};

describe('on the wire', () => {
  it('a change is a signed POST with its token and an empty query, a read a GET', async () => {
    const seen: { method: string | undefined; url: string | undefined; form: Map<string, string> | undefined }[] = [];
    wire.server.prependListener('request', (request) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        const { method, url = '' } = request;
        seen.push({ method, url, form: parseForm(method === 'POST' ? body : url.slice(2)) });
      });
    });
    open();
    await Promise.all([client.deleteDeviceCertificate(CERTIFICATE), client.readInstance(CERTIFICATE.instanceId)]);
    const change = seen.find(({ method }) => method === 'POST');
    const read = seen.find(({ method }) => method === 'GET');
    expect(change?.url).toBe('/');
    for (const form of [change?.form, read?.form]) {
      expect(form?.get('SecurityToken')).toBe(KEY.securityToken);
      expect(form?.get('AccessKeyId')).toBe(KEY.accessKeyId);
      expect(form?.get('MqttInstanceId')).toBe(CERTIFICATE.instanceId);
      expect([...(form?.values() ?? [])]).not.toContain('undefined');
    }
    expect(change?.form?.get('DeviceSn')).toBe(CERTIFICATE.deviceSn);
    expect([...(change?.form?.keys() ?? [])].toSorted()).toEqual([
      'AccessKeyId',
      'Action',
      'CaSn',
      'DeviceSn',
      'Format',
      'MqttInstanceId',
      'SecurityToken',
      'Signature',
      'SignatureMethod',
      'SignatureNonce',
      'SignatureVersion',
      'Timestamp',
      'Version',
    ]);
  });

  it('no nonce comes twice, and a permanent key sends no token', async () => {
    const nonces = new Set<string | undefined>();
    const tokens = new Set<string | undefined>();
    wire.server.prependListener('request', (request) => {
      const form = parseForm((request.url ?? '').slice(2));
      nonces.add(form?.get('SignatureNonce'));
      tokens.add(form?.get('SecurityToken'));
    });
    const { accessKeyId, accessKeySecret } = KEY;
    open({ credentials: holding({ accessKeyId, accessKeySecret }) });
    await Promise.all(Array.from({ length: 500 }, () => client.readInstance(CERTIFICATE.instanceId)));
    expect(nonces.size).toBe(500);
    expect(tokens).toEqual(new Set([undefined]));
  });

  it('each call is signed with the key that was current, also while keys change', async () => {
    const keys = ['LTAIfirst', 'LTAIsecond'].map((accessKeyId) => ({
      accessKeyId,
      accessKeySecret: `secret of ${accessKeyId}`,
    }));
    const sandbox = await startTestSandbox({ accounts: keys.map((key) => ({ ...key, instances: ['post-cn-own'] })) });
    let turn = 0;
    const credentials: CredentialSource = {
      get: () => Promise.resolve(keys[(turn += 1) % 2] ?? KEY),
      invalidate: () => undefined,
    };
    client = createMqttClient(optionsFor(sandbox.url, { credentials, maxConnections: 5 }));
    const answers = await Promise.all(
      Array.from({ length: 60 }, () => client.deleteDeviceCertificate(newCertificate())),
    );
    expect(new Set(answers.map(({ kind }) => kind))).toEqual(new Set(['accepted']));
    expect(sandbox.seen().accounts).toMatchObject({ LTAIfirst: { calls: 30 }, LTAIsecond: { calls: 30 } });
    await sandbox.close();
  });
});
