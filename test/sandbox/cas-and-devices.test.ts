import { afterEach, describe, expect, it, vi } from 'vitest';
import { Devices } from '../../src/sandbox/devices.ts';
import { generateCertificates } from '../../src/sandbox/generate.ts';
import { listedRegistry } from '../../src/sandbox/listed-registry.ts';
import { parseRegistryLine, registryLines } from '../../src/sandbox/registry-file.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { seededRandom } from '../../src/sandbox/seeded.ts';
import { call, CERTIFICATE, parametersOf, remove, startTestSandbox, type Seen } from './call.ts';

const { instanceId, caSn } = CERTIFICATE;
const FLEET = [...generateCertificates(40, { seed: 7, instanceId, caSn })];
const OTHER = { instanceId, caSn: '00ff', deviceSn: 'abc' };

let sandbox: Sandbox;
afterEach(() => sandbox?.close());

const onCa = (action: string, Sn = caSn, method: 'GET' | 'POST' = 'POST'): Promise<Seen> =>
  call(sandbox, { action, method, parameters: { MqttInstanceId: instanceId, Sn } });
const inactivate = (): Promise<Seen> =>
  call(sandbox, { action: 'InactivateDeviceCertificate', parameters: parametersOf(CERTIFICATE) });

describe('the operations on a CA', () => {
  it('inactivate and activate change its status, in the listing too', async () => {
    sandbox = await startTestSandbox({ registry: [CERTIFICATE, OTHER] });
    expect(await onCa('InactivateCaCertificate')).toMatchObject({ kind: 'resolved', body: { Sn: caSn } });
    expect(await onCa('GetCaCertificate', caSn, 'GET')).toMatchObject({ body: { Data: { Sn: caSn, Status: '0' } } });
    const parameters = { MqttInstanceId: instanceId, PageNo: '1', PageSize: '100' };
    expect(await call(sandbox, { action: 'ListCaCertificate', method: 'GET', parameters })).toMatchObject({
      body: {
        Data: {
          Total: 1,
          CaCertificateVOS: [
            { Sn: caSn, Status: '0', CaContent: expect.stringContaining(String.raw`-----\n`) },
            { Sn: '00ff', Status: '1' },
          ],
        },
      },
    });
    await onCa('ActiveCaCertificate');
    expect(await onCa('GetCaCertificate', caSn, 'GET')).toMatchObject({ body: { Data: { Status: '1' } } });
    expect(sandbox.has(CERTIFICATE)).toBe(true);
  });

  it('delete takes every certificate of the CA along, and no other', async () => {
    sandbox = await startTestSandbox({ registry: [CERTIFICATE, ...FLEET, OTHER] });
    expect(await onCa('DeleteCaCertificate')).toMatchObject({ body: { Sn: caSn } });
    expect([sandbox.has(CERTIFICATE), sandbox.has(OTHER), sandbox.registeredCount]).toEqual([false, true, 1]);
    expect(sandbox.deletedCount).toBe(41);
    expect(await onCa('DeleteCaCertificate')).toMatchObject({ code: 'FindCaBySnError' });
  });

  it.each(['InactivateCaCertificate', 'ActiveCaCertificate', 'DeleteCaCertificate'])(
    '%s knows no other',
    async (action) => {
      sandbox = await startTestSandbox({ registry: [CERTIFICATE] });
      expect(await onCa(action, '00')).toMatchObject({ kind: 'code', code: 'FindCaBySnError' });
    },
  );
});

it('inactivating an inactive certificate answers as it is told to', async () => {
  sandbox = await startTestSandbox({ registry: [CERTIFICATE] });
  await inactivate();
  expect(await inactivate()).toMatchObject({ kind: 'resolved', body: { DeviceSn: CERTIFICATE.deviceSn } });
  await sandbox.close();
  sandbox = await startTestSandbox({ registry: [CERTIFICATE], inactiveAgainCode: 'DeviceStatusError' });
  expect(await inactivate()).toMatchObject({ kind: 'resolved' });
  expect(await inactivate()).toMatchObject({ kind: 'code', code: 'DeviceStatusError' });
});

it('a fault meets the operations that it names, and only those', async () => {
  sandbox = await startTestSandbox({
    registry: [CERTIFICATE],
    plan: { seed: 1, faults: [{ kind: 'code', code: 'InternalError', operations: ['ListDeviceCertificate'] }] },
  });
  const list = (): Promise<Seen> =>
    call(sandbox, {
      action: 'ListDeviceCertificate',
      method: 'GET',
      parameters: { MqttInstanceId: instanceId, PageNo: '1', PageSize: '10' },
    });
  expect(await remove(sandbox, CERTIFICATE)).toMatchObject({ kind: 'resolved' });
  expect([await list(), await list()]).toMatchObject([{ code: 'InternalError' }, { kind: 'resolved' }]);
});

describe('devices', () => {
  it('register again under an active CA, as the newest, and stay out while it is inactive', () => {
    const registry = listedRegistry(FLEET, { onDelete: (gone) => devices.lost(gone) });
    const devices = new Devices({ registry, perSecond: 1, random: seededRandom(1), nowMs: () => 0 });
    const gone = FLEET.slice(0, 5);
    for (const certificate of gone) registry.change(certificate, 'absent');
    registry.changeCa(instanceId, caSn, 'inactive');
    for (let times = 0; times < 1_000; times += 1) devices.reconnect();
    expect(registry.registeredCount).toBe(35);
    registry.changeCa(instanceId, caSn, 'active');
    for (let times = 0; times < 1_000; times += 1) devices.reconnect();
    expect(registry.registeredCount).toBe(40);
    const last = registry.list({ instanceId }, 35, 5).map(({ deviceSn }) => deviceSn);
    expect(last.toSorted()).toEqual(gone.map(({ deviceSn }) => deviceSn).toSorted());
    registry.changeCa(instanceId, caSn, 'absent');
    for (let times = 0; times < 1_000; times += 1) devices.reconnect();
    expect(registry.registeredCount).toBe(0);
  });

  it('come back by themselves while the sandbox runs', async () => {
    sandbox = await startTestSandbox({ registry: [CERTIFICATE], devicesPerSecond: 1_000 });
    await remove(sandbox, CERTIFICATE);
    expect(sandbox.deletedCount).toBe(1);
    await vi.waitFor(() => expect(sandbox.has(CERTIFICATE)).toBe(true), { timeout: 60_000 });
  });
});

it('what was saved is loaded again, and a plain manifest line is enough', () => {
  const registry = listedRegistry(FLEET);
  const pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  registry.register({ ...OTHER, name: 'pump', validEndMs: 1_000, pem, state: 'inactive' });
  registry.registerCa({ instanceId, caSn: '00ff', state: 'inactive', name: 'works' });
  registry.changeCa(instanceId, caSn, 'inactive');
  const again = listedRegistry();
  for (const line of registryLines(registry)) {
    const entry = parseRegistryLine(line);
    if (typeof entry === 'string') throw new Error(entry);
    if ('deviceSn' in entry) again.register(entry);
    else again.registerCa(entry);
  }
  expect([...again.records()]).toEqual([...registry.records()]);
  expect(again.device(OTHER)).toMatchObject({ name: 'pump', pem, validEndMs: 1_000, state: 'inactive' });
  expect(parseRegistryLine(JSON.stringify(CERTIFICATE))).toEqual(CERTIFICATE);
  expect(parseRegistryLine('{"instanceId":"i","caSn":7}')).toBe('caSn: write it as text in quotes');
  expect(parseRegistryLine('nothing')).toBe('it is not a JSON object');
});
