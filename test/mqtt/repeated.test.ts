import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import tls, { createServer as createTlsServer, type ConnectionOptions } from 'node:tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createMqttClient, type MqttClient } from '../../src/mqtt/client.ts';
import { LOOPBACK_CERTIFICATE, LOOPBACK_KEY } from '../sandbox/loopback-certificate.ts';
import { newCertificate, optionsFor, startWire, withClient } from './clients.ts';
import { closed } from '../support/closed.ts';

/** What a gateway does with its connection besides answering; `answer` is the one it has just sent. */
type Addition = (socket: Socket, answer: string) => void;

let server: Server;
let client: MqttClient;
let connections: Socket[];

/** A gateway that refuses each call with a code that names the call's certificate, as no refusal of the API does. */
async function start(scheme: 'http' | 'https', add: Addition): Promise<void> {
  connections = [];
  const serve = (socket: Socket): void => {
    connections.push(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    let heard = '';
    socket.on('data', (bytes) => {
      heard += String(bytes);
      const body = /\r\n\r\n(.*)$/s.exec(heard)?.[1];
      const length = Number(/content-length: (\d+)/i.exec(heard)?.[1] ?? 0);
      if (body === undefined || body.length < length) return;
      heard = '';
      const text = JSON.stringify({ RequestId: randomUUID(), Code: `Not.${/DeviceSn=([^&]+)/.exec(body)?.[1]}` });
      const head = `HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n`;
      socket.write(head + text);
      add(socket, head + text);
    });
  };
  if (scheme === 'https') trustGateway();
  server =
    scheme === 'https'
      ? createTlsServer({ key: LOOPBACK_KEY, cert: LOOPBACK_CERTIFICATE }, serve)
      : createServer(serve);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = createMqttClient(optionsFor(`${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`));
}

/** Its certificate is its own and nobody's else, and NODE_EXTRA_CA_CERTS is read as a process starts. */
function trustGateway(): void {
  const { connect } = tls;
  const trusting = (options: ConnectionOptions): tls.TLSSocket => connect({ ...options, ca: LOOPBACK_CERTIFICATE });
  vi.spyOn(tls, 'connect').mockImplementation(trusting as typeof connect);
}

/** Whether the answer was the call's own, another call's, or told nothing. */
async function call(): Promise<'own' | 'foreign' | 'nothing'> {
  const certificate = newCertificate();
  const answer = await client.deleteDeviceCertificate(certificate);
  if (answer.kind !== 'refused') return 'nothing';
  return answer.code === `Not.${certificate.deviceSn}` ? 'own' : 'foreign';
}

describe.each(['http', 'https'] as const)('over %s', (scheme) => {
  afterEach(() => {
    client.close();
    for (const socket of connections) socket.destroy();
    server.close();
    vi.restoreAllMocks();
  });

  it('a connection that says something unasked takes no further call', async () => {
    await start(scheme, (socket, answer) => setTimeout(() => socket.write(answer.slice(0, 20)), 10));
    expect(await call()).toBe('own');
    await closed(connections[0]);
    expect(await call()).toBe('own');
    expect(connections).toHaveLength(2);
    // Less than an idle connection is kept for.
  }, 20_000);

  it.each([0, 2])('an answer that comes again %i ms later is never that of another call', async (afterMs) => {
    await start(scheme, (socket, answer) => setTimeout(() => socket.writable && socket.write(answer), afterMs));
    const heard: string[] = [];
    const caller = async (): Promise<void> => {
      for (let calls = 0; calls < 25; calls += 1) heard.push(await call());
    };
    await Promise.all(Array.from({ length: 4 }, caller));
    expect(heard.filter((whose) => whose === 'foreign')).toEqual([]);
    // Once it has noticed, it hears the answers of all.
    expect(heard.filter((whose) => whose === 'own').length).toBeGreaterThan(90);
  });
});

describe('an answer of another call', () => {
  const answered = (deviceSn: string): string => JSON.stringify({ RequestId: randomUUID(), DeviceSn: deviceSn });

  it('is no proof of a certificate with the same serial number, from another CA', async () => {
    const certificate = newCertificate();
    const first = answered(certificate.deviceSn);
    const wire = await startWire((_, response) => response.end(first));
    await withClient(optionsFor(wire.url), async (other) => {
      expect(await other.deleteDeviceCertificate(certificate)).toMatchObject({ kind: 'accepted' });
      const answer = await other.deleteDeviceCertificate({ ...certificate, caSn: '008' });
      expect(answer).toMatchObject({ kind: 'garbled', message: expect.stringContaining('that of an earlier call') });
    });
    await wire.close();
  });

  it("ends its connection, where the one still to come would be taken for the next call's", async () => {
    const ports = new Set<number | undefined>();
    const wire = await startWire((request, response) => {
      ports.add(request.socket.remotePort);
      response.end(answered('another'));
    });
    await withClient(optionsFor(wire.url, { maxConnections: 1 }), async (other) => {
      for (let calls = 0; calls < 3; calls += 1) {
        expect(await other.deleteDeviceCertificate(newCertificate())).toMatchObject({ kind: 'garbled' });
      }
    });
    expect(ports.size).toBe(3);
    await wire.close();
  });
});
