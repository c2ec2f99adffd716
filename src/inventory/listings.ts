import type { ListedPage, PageOf, ReadAnswer, RegisteredCa, RegisteredDevice } from '../core/registered.ts';
import type { MqttClient } from '../mqtt/client.ts';

/** Something that the API lists in pages. */
export interface Listing<Row> {
  /** Reads a page before `notAfterMs` or not at all. */
  readonly read: (page: Omit<PageOf, 'instanceId'>, notAfterMs: number) => Promise<ReadAnswer<ListedPage<Row>>>;
  /** Different for any two rows. */
  readonly keyOf: (row: Row) => string;
  /** What its total counts; documented as results for one operation, and as pages for the others. */
  readonly totals: 'rows' | 'pages';
}

/** The certificates of an instance, or of one of its CAs. */
export function listingOfDevices(
  client: Pick<MqttClient, 'listDeviceCertificates'>,
  instanceId: string,
  caSn?: string,
): Listing<RegisteredDevice> {
  return {
    read: (page, notAfterMs) => client.listDeviceCertificates({ ...page, instanceId, caSn }, notAfterMs),
    keyOf: ({ caSn: ca, deviceSn }) => `${ca}\n${deviceSn}`,
    totals: caSn === undefined ? 'pages' : 'rows',
  };
}

/** The CAs of an instance. */
export function listingOfCas(
  client: Pick<MqttClient, 'listCaCertificates'>,
  instanceId: string,
): Listing<RegisteredCa> {
  return {
    read: (page, notAfterMs) => client.listCaCertificates({ ...page, instanceId }, notAfterMs),
    keyOf: ({ caSn }) => caSn,
    totals: 'pages',
  };
}
