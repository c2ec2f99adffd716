import { parseCertificate } from '../core/certificate.ts';
import type { ListedPage, PageOf, RegisteredCa, RegisteredDevice } from '../core/registered.ts';
import { fieldOf, textOf } from './fields.ts';
import type { Doubt, Proof } from './read-answer.ts';

/** A listing must have its `Data`, however empty. */
export const lists: Proof<undefined> = (body) =>
  typeof fieldOf(body, 'Data') === 'object' && fieldOf(body, 'Data') !== null
    ? { data: undefined }
    : { fault: 'it has no Data' };

/** The one device certificate that was asked for. */
export const readsDevice =
  (caSn: string, deviceSn: string): Proof<RegisteredDevice> =>
  (body) => {
    const device = deviceOf(fieldOf(body, 'Data'));
    if (device === undefined) return { fault: 'it describes no device certificate' };
    return device.deviceSn === deviceSn && device.caSn === caSn
      ? { data: device }
      : { fault: 'it describes another device', isForeign: true };
  };

/** The CA that was asked for. */
export const readsCa =
  (caSn: string): Proof<RegisteredCa> =>
  (body) => {
    const ca = caOf(fieldOf(body, 'Data'));
    if (ca === undefined) return { fault: 'it describes no CA' };
    return ca.caSn === caSn ? { data: ca } : { fault: 'it describes another CA', isForeign: true };
  };

/** @param caSn - where only those of one CA were asked for: another one's would be the answer to another call */
export const listsDevices =
  (page: PageOf, caSn: string | undefined): Proof<ListedPage<RegisteredDevice>> =>
  (body) =>
    pageOf(body, 'DeviceCertificateVOS', page, (row) => {
      const device = deviceOf(row);
      return device !== undefined && caSn !== undefined && device.caSn !== caSn ? 'foreign' : device;
    });

export const listsCas =
  (page: PageOf): Proof<ListedPage<RegisteredCa>> =>
  (body) =>
    pageOf(body, 'CaCertificateVOS', page, caOf);

function pageOf<Row extends object>(
  body: unknown,
  name: string,
  { pageNo, pageSize }: PageOf,
  read: (row: unknown) => Row | 'foreign' | undefined,
): { data: ListedPage<Row> } | Doubt {
  const data = fieldOf(body, 'Data');
  const found = fieldOf(data, name);
  // Where a page is empty, the list may be missing as well.
  const list: unknown = found ?? [];
  if (typeof data !== 'object' || data === null || !Array.isArray(list)) return { fault: `it has no ${name}` };
  const [saidNo, saidSize] = [numberOf(data, 'PageNo'), numberOf(data, 'PageSize')];
  if ((saidNo ?? pageNo) !== pageNo || (saidSize ?? pageSize) !== pageSize)
    return { fault: 'it is another page', isForeign: true };
  if (list.length > pageSize) return { fault: `it has ${list.length} rows of ${pageSize} asked for` };
  const rows: Row[] = [];
  for (const row of list) {
    const one = read(row);
    if (one === 'foreign') return { fault: 'it lists another CA', isForeign: true };
    if (one !== undefined) rows.push(one);
  }
  return { data: { rows, unreadable: list.length - rows.length, total: numberOf(data, 'Total') } };
}

function deviceOf(row: unknown): RegisteredDevice | undefined {
  const [caSn, deviceSn] = [textOf(row, 'CaSn'), textOf(row, 'DeviceSn')];
  const status = statusOf(row);
  // The instance is known; what is checked is that a manifest could hold the serial numbers.
  if (status === undefined || !parseCertificate({ instanceId: 'i', caSn, deviceSn }).ok) return undefined;
  return {
    caSn: caSn ?? '',
    deviceSn: deviceSn ?? '',
    deviceName: textOf(row, 'DeviceName') ?? '',
    status,
    validBeginMs: numberOf(row, 'ValidBegin'),
    validEndMs: numberOf(row, 'ValidEnd'),
    content: textOf(row, 'DeviceContent') ?? '',
  };
}

function caOf(row: unknown): RegisteredCa | undefined {
  const caSn = textOf(row, 'Sn');
  const status = statusOf(row);
  if (status === undefined || caSn === undefined || !parseCertificate({ instanceId: 'i', caSn, deviceSn: 'd' }).ok)
    return undefined;
  const content = textOf(row, 'CaContent') ?? '';
  return {
    caSn,
    name: textOf(row, 'CaName') ?? '',
    status,
    validBeginMs: numberOf(row, 'ValidBegin'),
    validEndMs: numberOf(row, 'ValidEnd'),
    content,
  };
}

/** "0" or "1"; a number would say the same. */
function statusOf(row: unknown): 'active' | 'inactive' | undefined {
  switch (String(fieldOf(row, 'Status'))) {
    case '1':
      return 'active';
    case '0':
      return 'inactive';
    default:
      return undefined;
  }
}

function numberOf(value: unknown, name: string): number | undefined {
  const field = fieldOf(value, name);
  const text = typeof field === 'number' ? String(field) : field;
  return typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
