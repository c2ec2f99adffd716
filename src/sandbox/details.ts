import type { Certificate } from '../core/certificate.ts';
import type { CaRecord, Details, DeviceRecord } from './registry.ts';
import { hashToUnit } from './seeded.ts';

const YEAR_MS = 365 * 24 * 3600 * 1000;
const FIRST_ISSUE_MS = Date.UTC(2022, 0, 1);

/** What a device certificate says of itself by default: the same for the same serial number, so it takes no memory. */
export function deviceDetails({ instanceId, caSn, deviceSn }: Certificate): Details {
  return {
    name: `device-${deviceSn}`,
    ...validityOf(deviceSn),
    pem: pemOf(`${instanceId} ${caSn} ${deviceSn}`),
  };
}

export function caDetails(instanceId: string, caSn: string): Details {
  return { name: `ca-${caSn}`, ...validityOf(`${instanceId}\n${caSn}`), pem: pemOf(`${instanceId} ${caSn}`) };
}

/** The device as `GetDeviceCertificate` and both listings describe it. */
export function describeDevice(record: DeviceRecord): Record<string, string> {
  return {
    DeviceSn: record.deviceSn,
    CaSn: record.caSn,
    DeviceName: record.name,
    DeviceContent: onOneLine(record.pem),
    ...statusOf(record),
  };
}

/** The CA as `GetCaCertificate` and the listing describe it. */
export function describeCa(record: CaRecord): Record<string, string> {
  return {
    Sn: record.caSn,
    CaName: record.name,
    CaContent: onOneLine(record.pem),
    RegistrationCode: `code-${record.caSn}`,
    VerificationContent: onOneLine(pemOf(`verification ${record.caSn}`)),
    ...statusOf(record),
  };
}

function statusOf({ state, validBeginMs, validEndMs }: DeviceRecord | CaRecord): Record<string, string> {
  return { Status: state === 'active' ? '1' : '0', ValidBegin: String(validBeginMs), ValidEnd: String(validEndMs) };
}

/** As the API writes PEM text: a backslash and an n where a line ends. */
function onOneLine(pem: string): string {
  return pem.replaceAll('\n', String.raw`\n`);
}

/** The form of PEM text, different for each certificate. No X.509 certificate: making a million of those would take minutes. */
function pemOf(text: string): string {
  const base64 = Buffer.from(`sandbox ${text}`).toString('base64');
  let body = '';
  for (let at = 0; at < base64.length; at += 64) body += `${base64.slice(at, at + 64)}\n`;
  return `-----BEGIN CERTIFICATE-----\n${body}-----END CERTIFICATE-----\n`;
}

/** Ten years from some second between 2022 and 2024, the same for the same serial number. */
function validityOf(serial: string): Pick<Details, 'validBeginMs' | 'validEndMs'> {
  const validBeginMs = FIRST_ISSUE_MS + Math.floor((hashToUnit(serial) * 3 * YEAR_MS) / 1000) * 1000;
  return { validBeginMs, validEndMs: validBeginMs + 10 * YEAR_MS };
}
