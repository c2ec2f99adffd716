import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMqttClient, type MqttClient } from '../../src/mqtt/client.ts';
import { generateCertificates } from '../../src/sandbox/generate.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { MAX_ANSWER_BYTES } from '../../src/mqtt/bounded-answer.ts';
import { CERTIFICATE, optionsFor, startTestSandbox, startWire } from './clients.ts';

const { instanceId, caSn } = CERTIFICATE;
const FLEET = [...generateCertificates(120, { seed: 1, instanceId, caSn })];
const OTHER = { instanceId, caSn: '00ff', deviceSn: 'ab', name: 'pump', validEndMs: 1_000 };

let sandbox: Sandbox;
let client: MqttClient;
beforeAll(async () => {
  sandbox = await startTestSandbox({ registry: [...FLEET, OTHER] });
  client = createMqttClient(optionsFor(sandbox.url));
});
afterAll(async () => {
  client.close();
  await sandbox.close();
});

describe('the listings', () => {
  it('of an instance and of one CA come as pages of records', async () => {
    const all = await client.listDeviceCertificates({ instanceId, pageNo: 2, pageSize: 100 });
    expect(all).toMatchObject({ kind: 'accepted', data: { total: 2, unreadable: 0 } });
    if (all.kind !== 'accepted') return;
    expect(all.data.rows).toHaveLength(21);
    expect(all.data.rows.at(-1)).toMatchObject({ caSn: '00ff', deviceSn: 'ab', deviceName: 'pump', validEndMs: 1_000 });
    expect(await client.listDeviceCertificates({ instanceId, caSn, pageNo: 2, pageSize: 60 })).toMatchObject({
      data: { total: 120, rows: FLEET.slice(60).map(({ deviceSn }) => ({ deviceSn, caSn, status: 'active' })) },
    });
    expect(await client.listDeviceCertificates({ instanceId, caSn: 'none', pageNo: 1, pageSize: 60 })).toMatchObject({
      kind: 'refused',
      code: 'FindCaBySnError',
    });
  });

  it('of CAs come as pages of records', async () => {
    expect(await client.listCaCertificates({ instanceId, pageNo: 1, pageSize: 100 })).toMatchObject({
      data: {
        rows: [
          { caSn, status: 'active' },
          { caSn: '00ff', name: 'ca-00ff' },
        ],
      },
    });
  });
});

it('changes of a device and of its CA show in what is read', async () => {
  const [certificate = CERTIFICATE] = FLEET;
  expect(await client.inactivateDeviceCertificate(certificate)).toMatchObject({ kind: 'accepted' });
  expect(await client.getDeviceCertificate(certificate)).toMatchObject({ data: { status: 'inactive' } });
  expect(await client.activateDeviceCertificate(certificate)).toMatchObject({ kind: 'accepted' });
  expect(await client.getDeviceCertificate(certificate)).toMatchObject({ data: { status: 'active' } });
  expect(await client.inactivateCaCertificate(instanceId, '00ff')).toMatchObject({ kind: 'accepted' });
  expect(await client.getCaCertificate(instanceId, '00ff')).toMatchObject({ data: { status: 'inactive' } });
  expect(await client.activateCaCertificate(instanceId, '00ff')).toMatchObject({ kind: 'accepted' });
  expect(await client.deleteCaCertificate(instanceId, '00ff')).toMatchObject({ kind: 'accepted' });
  expect(await client.getCaCertificate(instanceId, '00ff')).toMatchObject({ code: 'FindCaBySnError' });
  expect(await client.getDeviceCertificate(OTHER)).toMatchObject({ code: 'FindDeviceBySnError' });
});

describe('an answer that does not fit', () => {
  const row = { CaSn: caSn, DeviceSn: 'a', Status: '1' };
  const page = (more: object): object => ({ Data: { PageNo: 1, PageSize: 50, DeviceCertificateVOS: [row], ...more } });

  it.each([
    ['is another page', page({ PageNo: 2 }), 'it is another page'],
    ['lists another CA', page({ DeviceCertificateVOS: [{ ...row, CaSn: 'x' }] }), 'it lists another CA'],
    ['has no Data', {}, 'it has no DeviceCertificateVOS'],
    [
      'has more rows than asked for',
      page({ DeviceCertificateVOS: Array.from({ length: 51 }, () => row) }),
      'it has 51 rows',
    ],
  ])('%s is garbled', async (_, body, message) => {
    const wire = await startWire((_request, response) => void response.end(JSON.stringify(body)));
    const asker = createMqttClient(optionsFor(wire.url));
    const answer = await asker.listDeviceCertificates({ instanceId, caSn, pageNo: 1, pageSize: 50 });
    asker.close();
    await wire.close();
    expect(answer).toMatchObject({ kind: 'garbled', message: expect.stringContaining(message) });
  });

  it('a row that names nothing callable is counted, and the others stand', async () => {
    const rows = [row, { ...row, DeviceSn: '' }, { ...row, Status: '7' }, { ...row, DeviceSn: 'a\nb' }];
    const wire = await startWire(
      (_, response) => void response.end(JSON.stringify(page({ DeviceCertificateVOS: rows }))),
    );
    const asker = createMqttClient(optionsFor(wire.url));
    const answer = await asker.listDeviceCertificates({ instanceId, pageNo: 1, pageSize: 50 });
    asker.close();
    await wire.close();
    expect(answer).toMatchObject({ kind: 'accepted', data: { rows: [{ deviceSn: 'a' }], unreadable: 3 } });
  });
});

it.each([undefined, 'gzip'])(
  'a page comes as it was written, packed as %s, and one that is too long does not',
  async (packed) => {
    const row = { CaSn: caSn, DeviceSn: 'ä', Status: '1', DeviceName: 'two\nlines', DeviceContent: 'x'.repeat(1_000) };
    const page = JSON.stringify({ Data: { DeviceCertificateVOS: Array.from({ length: 100 }, () => row) } });
    let body = '';
    const wire = await startWire((_request, response) => {
      if (packed !== undefined) response.setHeader('content-encoding', packed);
      const bytes = packed === undefined ? Buffer.from(body) : gzipSync(body);
      // Two pieces, cut within a letter where they are not packed.
      const cut = bytes.indexOf('ä') + 1;
      response.write(bytes.subarray(0, cut), () => setImmediate(() => response.end(bytes.subarray(cut))));
    });
    const asker = createMqttClient(optionsFor(wire.url));
    const ask = (text: string): ReturnType<MqttClient['listDeviceCertificates']> => {
      body = text;
      return asker.listDeviceCertificates({ instanceId, pageNo: 1, pageSize: 100 });
    };
    const read = await ask(page);
    const last = { deviceSn: 'ä', deviceName: 'two\nlines', content: row.DeviceContent };
    expect(read).toMatchObject({ kind: 'accepted', data: { rows: { length: 100, 99: last } } });
    // The SDK's own parser has no stack for it.
    const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
    expect(await ask(page.replace('{', `{"Deep":${deep},`))).toMatchObject({ kind: 'accepted' });
    expect(await ask(page.padEnd(MAX_ANSWER_BYTES - 100))).toMatchObject({ kind: 'accepted' });
    expect(await ask(page.padEnd(MAX_ANSWER_BYTES + 1))).toMatchObject({
      kind: 'garbled',
      message: expect.stringContaining(`more than ${MAX_ANSWER_BYTES} bytes`),
    });
    expect(await ask('{"Code":"NoPermission","Message":"ä"}')).toMatchObject({ kind: 'refused', code: 'NoPermission' });
    expect(await ask('{"ä":')).toMatchObject({ kind: 'garbled', message: expect.stringContaining('it is not JSON') });
    asker.close();
    await wire.close();
  },
);
