import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { SANDBOX_ACCOUNT } from '../../src/cli/sandbox.ts';
import { call, parametersOf, remove, type Seen } from '../sandbox/call.ts';
import type { RunningCommand } from '../support/command.ts';
import { openInstallation, type Installation } from '../support/installation.ts';

const [instanceId] = SANDBOX_ACCOUNT.instances;
const CERTIFICATE = { instanceId, caSn: 'CA01', deviceSn: '00a1' };
const REGISTRY = [
  { instanceId, caSn: 'CA02', caName: 'works', status: 'inactive' },
  { ...CERTIFICATE, deviceName: 'pump', validEnd: '2030-01-01T00:00:00.000Z' },
  { instanceId, caSn: 'CA02', deviceSn: '00b2', status: 'inactive' },
];

let installation: Installation;
beforeEach(async () => {
  installation = await openInstallation({});
});
afterEach(() => installation.remove());

/** Starts the command on the registry. @returns where it listens, and the command */
async function start(...flags: string[]): Promise<{ url: string; command: RunningCommand; saved: string }> {
  const path = await installation.file('registry.ndjson', REGISTRY.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const saved = join(installation.folder, 'saved.ndjson');
  const command = installation.start([
    'sandbox',
    '--port',
    '0',
    '--registry',
    path,
    '--save-registry',
    saved,
    ...flags,
  ]);
  await command.says('listens on');
  return { url: /http:\S+\d/.exec(command.output())?.[0] ?? '', command, saved };
}

const account = SANDBOX_ACCOUNT;

it('loads NDJSON with names, dates and CAs, and saves what is there at the end', async () => {
  const { url, command, saved } = await start('--order', 'newest');
  const read = (action: string, parameters: Record<string, string>): Promise<Seen> =>
    call({ url }, { action, method: 'GET', account, parameters: { MqttInstanceId: instanceId, ...parameters } });
  expect(await read('ListDeviceCertificate', { PageNo: '1', PageSize: '10' })).toMatchObject({
    body: {
      Data: {
        DeviceCertificateVOS: [
          { DeviceSn: '00b2', Status: '0' },
          { DeviceSn: '00a1', DeviceName: 'pump', ValidEnd: String(Date.UTC(2030, 0, 1)) },
        ],
      },
    },
  });
  expect(await read('GetCaCertificate', { Sn: 'CA02' })).toMatchObject({
    body: { Data: { CaName: 'works', Status: '0' } },
  });
  await remove({ url }, CERTIFICATE, { account });
  command.kill('SIGTERM');
  expect((await command.ended).code).toBe(0);
  const lines = (await readFile(saved, 'utf8')).trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
    { caSn: 'CA02', caName: 'works', status: 'inactive' },
    { caSn: 'CA01', status: 'active' },
    { caSn: 'CA02', deviceSn: '00b2', status: 'inactive' },
  ]);
});

it('has devices that register again, and answers as it is told to an inactive certificate', async () => {
  const { url } = await start('--devices', '500', '--inactive-again', 'DeviceStatusError');
  await remove({ url }, CERTIFICATE, { account });
  const inactivate = (): Promise<Seen> =>
    call({ url }, { action: 'InactivateDeviceCertificate', account, parameters: parametersOf(CERTIFICATE) });
  await vi.waitFor(async () => expect(await inactivate()).toMatchObject({ kind: 'resolved' }), { timeout: 60_000 });
  expect(await inactivate()).toMatchObject({ kind: 'code', code: 'DeviceStatusError' });
});

it('names the line of a registry that cannot be read', async () => {
  const path = await installation.file(
    'registry.ndjson',
    `${JSON.stringify(CERTIFICATE)}\n{"instanceId":"i","caSn":1}\n`,
  );
  const ended = await installation.run(['sandbox', '--port', '0', '--registry', path]);
  expect(ended).toMatchObject({ code: 2, stderr: expect.stringContaining('line 2: caSn: write it as text in quotes') });
  expect(await installation.run(['sandbox', '--port', '0', '--save-registry', path])).toMatchObject({ code: 2 });
});
