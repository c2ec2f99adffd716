import { createMqttClient, type MqttClient } from '../mqtt/client.ts';
import type { CredentialSource } from '../mqtt/credentials.ts';
import type { Config } from '../runtime/config/config.ts';

/** So many connections as a walk has calls under way, and some that are being closed. */
const MOST_CONNECTIONS = 64;

/** A client that cannot change anything. */
export type ReadingClient = Pick<
  MqttClient,
  'listDeviceCertificates' | 'getDeviceCertificate' | 'listCaCertificates' | 'getCaCertificate' | 'close'
>;

/** @throws Error when the endpoint is no URL of a bare host */
export function openReadingClient(
  endpoint: string,
  credentials: CredentialSource,
  { callDeadlineMs, egress: { localAddress } }: Config,
): ReadingClient {
  return createMqttClient({
    endpoint,
    credentials,
    callDeadlineMs,
    maxConnections: MOST_CONNECTIONS,
    ...(localAddress !== undefined && { localAddress }),
  });
}
