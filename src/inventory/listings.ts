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

/**
 * The certificates of an instance, or of one of its CAs.
 * @param texts - `dropped`: where hundreds of pages wait for one, the texts of certificates would be most of what they hold
 */
export function listingOfDevices(
  client: Pick<MqttClient, 'listDeviceCertificates'>,
  instanceId: string,
  caSn?: string,
  texts: 'kept' | 'dropped' = 'dropped',
): Listing<RegisteredDevice> {
  return {
    async read(page, notAfterMs) {
      const answer = await client.listDeviceCertificates({ ...page, instanceId, caSn }, notAfterMs);
      if (answer.kind !== 'accepted' || texts === 'kept') return answer;
      const rows = answer.data.rows.map((row) => ({ ...row, content: '' }));
      return { ...answer, data: { ...answer.data, rows } };
    },
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
