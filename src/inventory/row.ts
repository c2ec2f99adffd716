import type { Certificate } from '../core/certificate.ts';
import { printable, printableJson } from '../core/printable.ts';
import type { RegisteredDevice, RegisteredStatus } from '../core/registered.ts';

/** A certificate of an inventory, as it is written: a row of a manifest with more columns. */
export interface InventoryRow extends Certificate {
  readonly deviceName: string;
  readonly status: RegisteredStatus;
  /** ISO 8601; empty where the API says no number. */
  readonly validBegin: string;
  readonly validEnd: string;
}

export const INVENTORY_COLUMNS = [
  'instanceId',
  'caSn',
  'deviceSn',
  'deviceName',
  'status',
  'validBegin',
  'validEnd',
] as const satisfies readonly (keyof InventoryRow)[];

export type InventoryFormat = 'csv' | 'ndjson';

/** Without the certificate's text: no private text is kept. */
export function toRow(instanceId: string, device: RegisteredDevice): InventoryRow {
  const { caSn, deviceSn, deviceName, status, validBeginMs, validEndMs } = device;
  return {
    instanceId,
    caSn,
    deviceSn,
    deviceName,
    status,
    validBegin: isoOf(validBeginMs),
    validEnd: isoOf(validEndMs),
  };
}

export function headOf(format: InventoryFormat): string {
  return format === 'csv' ? `${INVENTORY_COLUMNS.join(',')}\n` : '';
}

/** A line with its end. */
export function lineOf(row: InventoryRow, format: InventoryFormat): string {
  if (format === 'ndjson') return `${printableJson(JSON.stringify(row))}\n`;
  const named = { ...row, deviceName: harmless(row.deviceName) };
  return `${INVENTORY_COLUMNS.map((column) => cell(named[column])).join(',')}\n`;
}

const FORMULA = /^[=+\-@\t\r]/;

/** A name is only shown, so a spreadsheet must not run it; a serial number stays unchanged, since `submit` takes it. */
function harmless(name: string): string {
  const line = printable(name);
  return FORMULA.test(line) ? `'${line}` : line;
}

/** RFC 4180. */
function cell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The last moment that a date can be. */
const MOST_MS = 8.64e15;

/** ISO 8601; empty where the API says no number. */
export function isoOf(unixMs: number | undefined): string {
  return unixMs === undefined || unixMs > MOST_MS ? '' : new Date(unixMs).toISOString();
}
