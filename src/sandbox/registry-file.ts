import { z } from 'zod';
import { describeFault, parseCertificate } from '../core/certificate.ts';
import { caDetails, deviceDetails } from './details.ts';
import type { ListedRegistry, NewCa, NewDevice } from './listed-registry.ts';
import type { CaRecord, Details, DeviceRecord } from './registry.ts';

const time = z.iso.datetime({ error: 'give a time such as 2026-01-31T00:00:00.000Z' }).optional();
const text = z.string({ error: 'write it as text in quotes' }).min(1, { error: 'leave it out, or write some text' });

/** Other keys are ignored, so that a manifest is a registry too. */
const LINE = z.object({
  instanceId: text,
  caSn: text,
  deviceSn: text.optional(),
  deviceName: text.optional(),
  caName: text.optional(),
  status: z.enum(['active', 'inactive'], { error: 'give active or inactive' }).optional(),
  validBegin: time,
  validEnd: time,
  pem: text.optional(),
});

/**
 * What a line of NDJSON names: a certificate, or, without `deviceSn`, a CA.
 * @returns a text says what is wrong with the line
 */
export function parseRegistryLine(line: string): NewDevice | NewCa | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'it is not a JSON object';
  }
  const parsed = LINE.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'it cannot be read'}`;
  }
  const { instanceId, caSn, deviceSn, deviceName, caName, status, validBegin, validEnd, pem } = parsed.data;
  const checked = parseCertificate({ instanceId, caSn, deviceSn: deviceSn ?? caSn });
  if (!checked.ok) return describeFault(checked.fault);
  const name = deviceSn === undefined ? caName : deviceName;
  const said = {
    ...(name !== undefined && { name }),
    ...(validBegin !== undefined && { validBeginMs: Date.parse(validBegin) }),
    ...(validEnd !== undefined && { validEndMs: Date.parse(validEnd) }),
    ...(pem !== undefined && { pem }),
    ...(status !== undefined && { state: status }),
  };
  return { instanceId, caSn, ...(deviceSn !== undefined && { deviceSn }), ...said };
}

/** The registry as lines of NDJSON, each with its line end, CAs first; `parseRegistryLine` reads them. */
export function* registryLines(registry: ListedRegistry): Generator<string, void, undefined> {
  for (const record of registry.records()) yield `${JSON.stringify(lineOf(record))}\n`;
}

function lineOf(record: CaRecord | DeviceRecord): object {
  const { instanceId, caSn, name, state: status, validBeginMs, validEndMs } = record;
  const validity = { validBegin: iso(validBeginMs), validEnd: iso(validEndMs) };
  if (!('deviceSn' in record)) {
    return { instanceId, caSn, caName: name, status, ...validity, ...pemOf(record, caDetails(instanceId, caSn)) };
  }
  const { deviceSn } = record;
  const pem = pemOf(record, deviceDetails(record));
  return { instanceId, caSn, deviceSn, deviceName: name, status, ...validity, ...pem };
}

/** Only where it was given: the other texts follow from the serial number. */
function pemOf({ pem }: Details, usual: Details): { pem?: string } {
  return pem === usual.pem ? {} : { pem };
}

const iso = (unixMs: number): string => new Date(unixMs).toISOString();
