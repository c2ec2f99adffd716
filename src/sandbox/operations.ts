import { parseCertificate, type Certificate } from '../core/certificate.ts';
import type { Accounts, SandboxAccount } from './accounts.ts';
import { dataAnswer, echoAnswer, type Delivery } from './delivery.ts';
import { describeCa, describeDevice } from './details.ts';
import { certificateKey, type Registration, type Registry } from './registry.ts';
import { refuse, refuseMissing, type Operation, type Refusal } from './request.ts';

/** What an operation will do, checked but not done yet: a fault may come between. */
export interface PlannedOperation {
  readonly ok: true;
  /** Of an operation that changes a device certificate: from `certificateKey`. */
  readonly certificate?: string;
  /** What a fault plan knows the call by: a serial number, or a listing's page. */
  readonly subject: string;
  /** Does it. */
  act(): Delivery | Refusal;
  /** The answer to another call in place of its own; of a change it names another serial number. */
  wrongEcho(): Delivery;
}

type Parameters = ReadonlyMap<string, string>;

/** What there is to work on. */
export interface Cloud {
  readonly accounts: Accounts;
  readonly registry: Registry;
  /** With which code inactivating an inactive certificate is refused, or activating an active one; undefined: it is accepted. Which is true is not documented. */
  readonly inactiveAgainCode: string | undefined;
}

const MAX_PAGE_SIZE = 100;

/** Checks an operation's own parameters and the caller's right to the instance, and says what would be done. */
export function planOperation(
  operation: Operation,
  parameters: Parameters,
  account: SandboxAccount,
  cloud: Cloud,
): PlannedOperation | Refusal {
  const missing = REQUIRED[operation].find((name) => (parameters.get(name) ?? '') === '');
  if (missing !== undefined) return refuseMissing(missing);
  const instanceId = parameters.get('MqttInstanceId') ?? '';
  switch (cloud.accounts.ownership(account, instanceId)) {
    case 'of-another':
      return refuse('MqttOwnerCheckError');
    case 'nowhere':
      return refuse('MqttInstanceNotFound');
    case 'own':
      break;
  }
  const { registry } = cloud;
  const sn = parameters.get('Sn') ?? '';
  switch (operation) {
    case 'DeleteDeviceCertificate':
      return planChange(parameters, 'absent', cloud);
    case 'InactivateDeviceCertificate':
      return planChange(parameters, 'inactive', cloud);
    case 'ActiveDeviceCertificate':
      return planChange(parameters, 'active', cloud);
    case 'GetDeviceCertificate':
      return readDevice(parameters, registry);
    case 'ListDeviceCertificateByCaSn':
      return readPage(instanceId, parameters.get('CaSn'), parameters, registry);
    case 'ListDeviceCertificate':
      return readPage(instanceId, undefined, parameters, registry);
    case 'ListCaCertificate':
      return readCaPage(instanceId, parameters, registry);
    case 'GetCaCertificate':
      return readCa(instanceId, sn, registry);
    case 'InactivateCaCertificate':
      return planCaChange(instanceId, sn, 'inactive', registry);
    case 'ActiveCaCertificate':
      return planCaChange(instanceId, sn, 'active', registry);
    case 'DeleteCaCertificate':
      return planCaChange(instanceId, sn, 'absent', registry);
  }
}

const DEVICE = ['MqttInstanceId', 'CaSn', 'DeviceSn'] as const;
const CA = ['MqttInstanceId', 'Sn'] as const;
const REQUIRED: Readonly<Record<Operation, readonly string[]>> = {
  DeleteDeviceCertificate: DEVICE,
  InactivateDeviceCertificate: DEVICE,
  ActiveDeviceCertificate: DEVICE,
  GetDeviceCertificate: DEVICE,
  ListDeviceCertificateByCaSn: ['MqttInstanceId', 'CaSn', 'PageNo', 'PageSize'],
  ListDeviceCertificate: ['MqttInstanceId', 'PageNo', 'PageSize'],
  ListCaCertificate: ['MqttInstanceId', 'PageNo', 'PageSize'],
  GetCaCertificate: CA,
  InactivateCaCertificate: CA,
  ActiveCaCertificate: CA,
  DeleteCaCertificate: CA,
};

function certificateOf(parameters: Parameters): Certificate | undefined {
  const parsed = parseCertificate({
    instanceId: parameters.get('MqttInstanceId'),
    caSn: parameters.get('CaSn'),
    deviceSn: parameters.get('DeviceSn'),
  });
  return parsed.ok ? parsed.certificate : undefined;
}

function planChange(parameters: Parameters, to: Registration, cloud: Cloud): PlannedOperation | Refusal {
  const certificate = certificateOf(parameters);
  if (certificate === undefined) return refuse('ParameterFieldCheckFailed');
  const { registry, inactiveAgainCode } = cloud;
  const { deviceSn } = certificate;
  return {
    ok: true,
    certificate: certificateKey(certificate),
    subject: deviceSn,
    act() {
      const state = registry.stateOf(certificate);
      if (state === 'absent') return refuse('FindDeviceBySnError');
      if (to === state && inactiveAgainCode !== undefined)
        return refuse(inactiveAgainCode, `The device certificate is ${state} already.`);
      registry.change(certificate, to);
      return echoAnswer('DeviceSn', deviceSn);
    },
    wrongEcho: () => echoAnswer('DeviceSn', `${deviceSn}0`),
  };
}

/** An operation that changes nothing; an answer with the wrong data is one without any. */
function read(subject: string, data: () => Readonly<Record<string, unknown>> | Refusal): PlannedOperation {
  return {
    ok: true,
    subject,
    act() {
      const found = data();
      return isRefusal(found) ? found : dataAnswer(found);
    },
    wrongEcho: () => dataAnswer({}),
  };
}

const isRefusal = (found: object): found is Refusal => 'ok' in found;

function readDevice(parameters: Parameters, registry: Registry): PlannedOperation | Refusal {
  const certificate = certificateOf(parameters);
  if (certificate === undefined) return refuse('ParameterFieldCheckFailed');
  return read(certificate.deviceSn, () => {
    const record = registry.device(certificate);
    return record === undefined ? refuse('FindDeviceBySnError') : describeDevice(record);
  });
}

interface Page {
  readonly pageNo: number;
  readonly pageSize: number;
}

function pageOf(parameters: Parameters): Page | undefined {
  const pageNo = parsePositive(parameters.get('PageNo'));
  const pageSize = parsePositive(parameters.get('PageSize'));
  return pageNo === undefined || pageSize === undefined || pageSize > MAX_PAGE_SIZE ? undefined : { pageNo, pageSize };
}

function readPage(
  instanceId: string,
  caSn: string | undefined,
  parameters: Parameters,
  registry: Registry,
): PlannedOperation | Refusal {
  const page = pageOf(parameters);
  if (page === undefined) return refuse('ParameterFieldCheckFailed');
  const { pageNo, pageSize } = page;
  const scope = { instanceId, caSn };
  return read(`${pageNo}/${pageSize}`, () => {
    if (caSn !== undefined && registry.ca(instanceId, caSn) === undefined) return refuse('FindCaBySnError');
    const count = registry.countOf(scope);
    return {
      // Documented as results for one operation and as pages for the other.
      Total: caSn === undefined ? Math.ceil(count / pageSize) : count,
      PageNo: pageNo,
      PageSize: pageSize,
      DeviceCertificateVOS: registry.list(scope, (pageNo - 1) * pageSize, pageSize).map(describeDevice),
    };
  });
}

function readCaPage(instanceId: string, parameters: Parameters, registry: Registry): PlannedOperation | Refusal {
  const page = pageOf(parameters);
  if (page === undefined) return refuse('ParameterFieldCheckFailed');
  const { pageNo, pageSize } = page;
  return read(`${pageNo}/${pageSize}`, () => {
    const cas = registry.listCas(instanceId);
    return {
      Total: Math.ceil(cas.length / pageSize),
      PageNo: pageNo,
      PageSize: pageSize,
      CaCertificateVOS: cas.slice((pageNo - 1) * pageSize, pageNo * pageSize).map(describeCa),
    };
  });
}

function readCa(instanceId: string, sn: string, registry: Registry): PlannedOperation {
  return read(sn, () => {
    const ca = registry.ca(instanceId, sn);
    return ca === undefined ? refuse('FindCaBySnError') : describeCa(ca);
  });
}

function planCaChange(instanceId: string, sn: string, to: Registration, registry: Registry): PlannedOperation {
  return {
    ok: true,
    subject: sn,
    act() {
      if (registry.ca(instanceId, sn) === undefined) return refuse('FindCaBySnError');
      registry.changeCa(instanceId, sn, to);
      return echoAnswer('Sn', sn);
    },
    wrongEcho: () => echoAnswer('Sn', `${sn}0`),
  };
}

function parsePositive(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;
}
