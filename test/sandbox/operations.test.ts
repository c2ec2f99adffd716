import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { generateCertificates } from '../../src/sandbox/generate.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { call, CERTIFICATE, parametersOf, remove, startTestSandbox, type Seen } from './call.ts';

const { instanceId, caSn } = CERTIFICATE;
const FLEET = [...generateCertificates(250, { seed: 7, instanceId, caSn })];
const OTHER_CA = { instanceId, caSn: '00ff', deviceSn: 'abc' };

let sandbox: Sandbox;
beforeEach(async () => {
  sandbox = await startTestSandbox({ registry: [CERTIFICATE, ...FLEET, OTHER_CA] });
});
afterEach(() => sandbox.close());

const onDevice = (action: string, method: 'GET' | 'POST' = 'POST', certificate = CERTIFICATE): Promise<Seen> =>
  call(sandbox, { action, method, parameters: parametersOf(certificate) });
const statusOfDevice = async (): Promise<Seen> => onDevice('GetDeviceCertificate', 'GET');

const page = z.object({
  kind: z.literal('resolved'),
  body: z.object({
    Data: z.object({
      Total: z.int(),
      PageNo: z.int(),
      PageSize: z.int(),
      DeviceCertificateVOS: z.array(z.object({ DeviceSn: z.string(), Status: z.string() })),
    }),
  }),
});

async function list(action: string, pageNo: number, pageSize: number): Promise<z.infer<typeof page>['body']['Data']> {
  const parameters = {
    MqttInstanceId: instanceId,
    PageNo: String(pageNo),
    PageSize: String(pageSize),
    ...(action === 'ListDeviceCertificateByCaSn' ? { CaSn: caSn } : {}),
  };
  return page.parse(await call(sandbox, { action, method: 'GET', parameters })).body.Data;
}

describe('DeleteDeviceCertificate', () => {
  it('removes a registration once and echoes its serial number', async () => {
    expect(await remove(sandbox, CERTIFICATE)).toMatchObject({
      kind: 'resolved',
      status: 200,
      body: { DeviceSn: CERTIFICATE.deviceSn, RequestId: expect.any(String) },
    });
    expect(sandbox.has(CERTIFICATE)).toBe(false);
    expect(await remove(sandbox, CERTIFICATE)).toMatchObject({ kind: 'code', code: 'FindDeviceBySnError' });
    expect(sandbox.deletedCount).toBe(1);
  });

  it('answers the same code under the old and the new HTTP status', async () => {
    const statuses = new Set<number>();
    for (let tries = 0; tries < 64 && statuses.size < 2; tries += 1) {
      const seen = await remove(sandbox, { ...CERTIFICATE, deviceSn: 'absent' });
      if (seen.kind === 'code') statuses.add(seen.status);
    }
    expect(statuses).toEqual(new Set([400, 500]));
  });
});

describe('the other operations on a device', () => {
  it('inactivate keeps the record, active brings it back', async () => {
    expect(await statusOfDevice()).toMatchObject({ body: { Data: { ...serials(), Status: '1' } } });
    expect(await onDevice('InactivateDeviceCertificate')).toMatchObject({ body: { DeviceSn: CERTIFICATE.deviceSn } });
    expect(await statusOfDevice()).toMatchObject({ body: { Data: { Status: '0' } } });
    expect(sandbox.has(CERTIFICATE)).toBe(true);
    expect(await onDevice('ActiveDeviceCertificate')).toMatchObject({ kind: 'resolved' });
    expect(await statusOfDevice()).toMatchObject({
      body: { Data: { Status: '1', ValidBegin: expect.stringMatching(/^\d{13}$/) } },
    });
  });

  it.each(['InactivateDeviceCertificate', 'ActiveDeviceCertificate', 'GetDeviceCertificate'])(
    '%s knows no absent device',
    async (action) => {
      const method = action === 'GetDeviceCertificate' ? 'GET' : 'POST';
      const seen = await onDevice(action, method, { ...CERTIFICATE, deviceSn: 'absent' });
      expect(seen).toMatchObject({ kind: 'code', code: 'FindDeviceBySnError' });
    },
  );
});

describe('the listings', () => {
  it('by CA come in pages up to a short one, with the number of results as total', async () => {
    const pages = [];
    for (let pageNo = 1; pageNo <= 3; pageNo += 1) pages.push(await list('ListDeviceCertificateByCaSn', pageNo, 100));
    expect(pages.map((one) => [one.Total, one.PageNo, one.DeviceCertificateVOS.length])).toEqual([
      [251, 1, 100],
      [251, 2, 100],
      [251, 3, 51],
    ]);
    const serialsSeen = pages.flatMap((one) => one.DeviceCertificateVOS.map((row) => row.DeviceSn));
    expect(serialsSeen).toEqual([CERTIFICATE, ...FLEET].map((certificate) => certificate.deviceSn));
    expect((await list('ListDeviceCertificateByCaSn', 4, 100)).DeviceCertificateVOS).toEqual([]);
  });

  it('of an instance have the number of pages as total, and shift when something is deleted', async () => {
    const before = await list('ListDeviceCertificate', 2, 100);
    expect([before.Total, before.DeviceCertificateVOS.length]).toEqual([3, 100]);
    await remove(sandbox, CERTIFICATE);
    const after = await list('ListDeviceCertificate', 2, 100);
    expect(after.DeviceCertificateVOS.slice(0, -1)).toEqual(before.DeviceCertificateVOS.slice(1));
  });

  it.each([
    ['0', '10'],
    ['1', '101'],
    ['1', '0'],
    ['one', '10'],
  ])('refuse page %s of %s', async (PageNo, PageSize) => {
    const parameters = { MqttInstanceId: instanceId, PageNo, PageSize };
    const seen = await call(sandbox, { action: 'ListDeviceCertificate', method: 'GET', parameters });
    expect(seen).toMatchObject({ kind: 'code', code: 'ParameterFieldCheckFailed' });
  });
});

describe('GetCaCertificate', () => {
  it('describes a CA, also after its last device is gone, and refuses an unknown one', async () => {
    await remove(sandbox, OTHER_CA);
    const get = (Sn: string): Promise<Seen> =>
      call(sandbox, { action: 'GetCaCertificate', method: 'GET', parameters: { MqttInstanceId: instanceId, Sn } });
    expect(await get('00ff')).toMatchObject({
      body: { Data: { Sn: '00ff', Status: '1', CaName: expect.any(String) } },
    });
    expect(await get('0')).toMatchObject({ kind: 'code', code: 'FindCaBySnError' });
  });
});

function serials(): Record<string, string> {
  return { DeviceSn: CERTIFICATE.deviceSn, CaSn: caSn };
}
