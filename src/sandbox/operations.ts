import { parseCertificate, type Certificate } from '../core/certificate.ts';
import type { Accounts, SandboxAccount } from './accounts.ts';
import { certificateKey, type Registry } from './registry.ts';
import { refuse, refuseMissing, type Operation, type Refusal } from './request.ts';
import { hashToUnit } from './seeded.ts';

/** What an operation will do, checked but not done yet: a fault may come between. */
export type PlannedOperation =
  | {
      readonly ok: true;
      readonly kind: 'change';
      readonly deviceSn: string;
      /** From `certificateKey`. */
      readonly key: string;
      readonly to: 'active' | 'inactive' | 'absent';
    }
  | { readonly ok: true; readonly kind: 'read'; readonly data: Readonly<Record<string, unknown>> };

type Parameters = ReadonlyMap<string, string>;

const MAX_PAGE_SIZE = 100;

/** Checks an operation's own parameters and the caller's right to the instance, and says what would be done. */
export function planOperation(
  operation: Operation,
  parameters: Parameters,
  account: SandboxAccount,
  accounts: Accounts,
  registry: Registry,
): PlannedOperation | Refusal {
  const missing = REQUIRED[operation].find((name) => (parameters.get(name) ?? '') === '');
  if (missing !== undefined) return refuseMissing(missing);
  const instanceId = parameters.get('MqttInstanceId') ?? '';
  switch (accounts.ownership(account, instanceId)) {
    case 'of-another':
      return refuse('MqttOwnerCheckError');
    case 'nowhere':
      return refuse('MqttInstanceNotFound');
    case 'own':
      break;
  }
  switch (operation) {
    case 'DeleteDeviceCertificate':
      return planChange(parameters, 'absent');
    case 'InactivateDeviceCertificate':
      return planChange(parameters, 'inactive');
    case 'ActiveDeviceCertificate':
      return planChange(parameters, 'active');
    case 'GetDeviceCertificate':
      return readDevice(parameters, registry);
    case 'ListDeviceCertificateByCaSn':
      return readPage(instanceId, parameters.get('CaSn'), parameters, registry);
    case 'ListDeviceCertificate':
      return readPage(instanceId, undefined, parameters, registry);
    case 'GetCaCertificate':
      return readCa(instanceId, parameters.get('Sn') ?? '', registry);
  }
}

/** Does a planned change; a certificate that is not registered is refused. */
export function applyChange(
  plan: Extract<PlannedOperation, { kind: 'change' }>,
  registry: Registry,
): Refusal | undefined {
  if (registry.stateOf(plan.key) === 'absent') return refuse('FindDeviceBySnError');
  registry.change(plan.key, plan.to);
  return undefined;
}

const DEVICE = ['MqttInstanceId', 'CaSn', 'DeviceSn'] as const;
const REQUIRED: Readonly<Record<Operation, readonly string[]>> = {
  DeleteDeviceCertificate: DEVICE,
  InactivateDeviceCertificate: DEVICE,
  ActiveDeviceCertificate: DEVICE,
  GetDeviceCertificate: DEVICE,
  ListDeviceCertificateByCaSn: ['MqttInstanceId', 'CaSn', 'PageNo', 'PageSize'],
  ListDeviceCertificate: ['MqttInstanceId', 'PageNo', 'PageSize'],
  GetCaCertificate: ['MqttInstanceId', 'Sn'],
};

function certificateOf(parameters: Parameters): Certificate | undefined {
  const parsed = parseCertificate({
    instanceId: parameters.get('MqttInstanceId'),
    caSn: parameters.get('CaSn'),
    deviceSn: parameters.get('DeviceSn'),
  });
  return parsed.ok ? parsed.certificate : undefined;
}

function planChange(parameters: Parameters, to: 'active' | 'inactive' | 'absent'): PlannedOperation | Refusal {
  const certificate = certificateOf(parameters);
  if (certificate === undefined) return refuse('ParameterFieldCheckFailed');
  return { ok: true, kind: 'change', deviceSn: certificate.deviceSn, key: certificateKey(certificate), to };
}

function readDevice(parameters: Parameters, registry: Registry): PlannedOperation | Refusal {
  const certificate = certificateOf(parameters);
  if (certificate === undefined) return refuse('ParameterFieldCheckFailed');
  const state = registry.stateOf(certificateKey(certificate));
  if (state === 'absent') return refuse('FindDeviceBySnError');
  return { ok: true, kind: 'read', data: describeDevice(certificate, state) };
}

function readPage(
  instanceId: string,
  caSn: string | undefined,
  parameters: Parameters,
  registry: Registry,
): PlannedOperation | Refusal {
  const pageNo = parsePositive(parameters.get('PageNo'));
  const pageSize = parsePositive(parameters.get('PageSize'));
  if (pageNo === undefined || pageSize === undefined || pageSize > MAX_PAGE_SIZE)
    return refuse('ParameterFieldCheckFailed');
  if (caSn !== undefined && !registry.knowsCa(instanceId, caSn)) return refuse('FindCaBySnError');
  const all = registry.list(instanceId, caSn);
  const page = all.slice((pageNo - 1) * pageSize, pageNo * pageSize);
  const rows = page.map(({ certificate, state }) => describeDevice(certificate, state));
  // Documented as results for one operation and as pages for the other.
  const total = caSn === undefined ? Math.ceil(all.length / pageSize) : all.length;
  return {
    ok: true,
    kind: 'read',
    data: { Total: total, PageNo: pageNo, PageSize: pageSize, DeviceCertificateVOS: rows },
  };
}

function readCa(instanceId: string, sn: string, registry: Registry): PlannedOperation | Refusal {
  if (!registry.knowsCa(instanceId, sn)) return refuse('FindCaBySnError');
  const validity = validityOf(`${instanceId}\n${sn}`);
  return { ok: true, kind: 'read', data: { Sn: sn, CaName: `ca-${sn}`, Status: '1', ...validity } };
}

function describeDevice(certificate: Certificate, state: 'active' | 'inactive'): Record<string, string> {
  return {
    DeviceSn: certificate.deviceSn,
    CaSn: certificate.caSn,
    DeviceName: `device-${certificate.deviceSn}`,
    DeviceContent: '-----BEGIN CERTIFICATE-----\nc2FuZGJveA==\n-----END CERTIFICATE-----\n',
    Status: state === 'active' ? '1' : '0',
    ...validityOf(certificate.deviceSn),
  };
}

const YEAR_MS = 365 * 24 * 3600 * 1000;
const FIRST_ISSUE_MS = Date.UTC(2022, 0, 1);

/** Ten years from some second between 2022 and 2024, the same for the same serial number. */
function validityOf(serial: string): { ValidBegin: string; ValidEnd: string } {
  const beginMs = FIRST_ISSUE_MS + Math.floor((hashToUnit(serial) * 3 * YEAR_MS) / 1000) * 1000;
  return { ValidBegin: String(beginMs), ValidEnd: String(beginMs + 10 * YEAR_MS) };
}

function parsePositive(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;
}
