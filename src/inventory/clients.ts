import { createMqttClient, type MqttClient } from '../mqtt/client.ts';
import type { CredentialSource } from '../mqtt/credentials.ts';
import type { Config } from '../runtime/config/config.ts';

/** So many connections as a walk has calls under way, and some that are being closed. */
const MOST_CONNECTIONS = 144;

/** A client that cannot change anything. */
export type ReadingClient = Pick<
  MqttClient,
  'listDeviceCertificates' | 'getDeviceCertificate' | 'listCaCertificates' | 'getCaCertificate' | 'close'
>;

/** A client that can change CAs, and reads. */
export type CaClient = ReadingClient &
  Pick<MqttClient, 'inactivateCaCertificate' | 'activateCaCertificate' | 'deleteCaCertificate'>;

/** @throws Error when the endpoint is no URL of a bare host */
export type OpenClient<Client> = (endpoint: string, credentials: CredentialSource, config: Config) => Client;

export const openReadingClient: OpenClient<ReadingClient> = (...parts) => open(...parts);
export const openCaClient: OpenClient<CaClient> = (...parts) => open(...parts);

function open(
  endpoint: string,
  credentials: CredentialSource,
  { callDeadlineMs, egress: { localAddress } }: Config,
): MqttClient {
  return createMqttClient({
    endpoint,
    credentials,
    callDeadlineMs,
    maxConnections: MOST_CONNECTIONS,
    ...(localAddress !== undefined && { localAddress }),
  });
}
