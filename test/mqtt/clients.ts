import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import { createMqttClient, type MqttClientOptions } from '../../src/mqtt/client.ts';
import type { AccessKey } from '../../src/mqtt/access-key.ts';
import type { CredentialSource } from '../../src/mqtt/credentials.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import type { SandboxAccount } from '../../src/sandbox/accounts.ts';
import { startSandbox, type Sandbox, type SandboxOptions } from '../../src/sandbox/sandbox.ts';

/** Long, odd values: each must survive encoding, and be found wherever it leaks. */
export const KEY = {
  accessKeyId: 'LTAI5tCertsweepTestKey01',
  accessKeySecret: 'S3cr3t/With+Odd=Marks&Percent%41',
  securityToken: 'CAISabcDEF+ghi/JKL==tokenToken',
} as const;
export const ACCOUNT: SandboxAccount = { ...KEY, instances: ['post-cn-own'] };
export const CERTIFICATE: Certificate = { instanceId: 'post-cn-own', caSn: '007269004887', deviceSn: '0035621737' };

/** A certificate no other test has. */
export const newCertificate = (): Certificate => ({ ...CERTIFICATE, deviceSn: `00-${randomUUID()}` });

/** Quotas are counted only: a test's burst is no concern here. */
export const startTestSandbox = (options: Partial<SandboxOptions> = {}): Promise<Sandbox> =>
  startSandbox({ accounts: [ACCOUNT], registry: 'open', enforce: false, ...options });

export const holding = (key: AccessKey): CredentialSource => ({
  get: () => Promise.resolve(key),
  invalidate: () => undefined,
});

export const optionsFor = (endpoint: string, rest: Partial<MqttClientOptions> = {}): MqttClientOptions => ({
  endpoint,
  credentials: holding(KEY),
  callDeadlineMs: 20_000,
  maxConnections: 50,
  ...rest,
});

/** Does something with a client and closes it. */
export async function withClient<T>(
  options: MqttClientOptions,
  use: (client: ReturnType<typeof createMqttClient>) => Promise<T>,
): Promise<T> {
  const client = createMqttClient(options);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

export interface Wire {
  readonly url: string;
  readonly server: Server;
  close(): Promise<void>;
}

/** A bare HTTP server for answers that no sandbox would give. */
export async function startWire(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<Wire> {
  const server = createServer((request, response) => {
    request.resume();
    request.once('end', () => answer(request, response));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    server,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
