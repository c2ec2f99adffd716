import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codeOf, effectUnknown, type Answer } from '../../src/core/answer.ts';
import { createMqttClient, type MqttClient, type MqttClientOptions } from '../../src/mqtt/client.ts';
import type { CredentialSource } from '../../src/mqtt/credentials.ts';
import { CERTIFICATE, KEY, holding, optionsFor, startWire, type Wire } from './clients.ts';
import { closed } from '../support/closed.ts';

/** The calls that reached the wire, each held until it is answered. */
let wire: Wire;
let arrived: { readonly response: ServerResponse; readonly socket: Socket }[];
let sockets: Set<Socket>;
let client: MqttClient;
beforeEach(async () => {
  arrived = [];
  sockets = new Set();
  wire = await startWire((request, response) => {
    arrived.push({ response, socket: request.socket });
    wire.server.emit('arrival');
  });
  wire.server.on('connection', (socket) => sockets.add(socket));
});
afterEach(async () => {
  client.close();
  await wire.close();
});

const open = (rest: Partial<MqttClientOptions> = {}): MqttClient => {
  client = createMqttClient(optionsFor(wire.url, rest));
  return client;
};
async function arrivals(count: number): Promise<void> {
  while (arrived.length < count) await once(wire.server, 'arrival');
}
const answerAll = (): void => {
  for (const { response } of arrived.splice(0))
    response.end(JSON.stringify({ RequestId: 'r', DeviceSn: CERTIFICATE.deviceSn }));
};
const remove = (notAfterMs?: number): Promise<Answer> => client.deleteDeviceCertificate(CERTIFICATE, notAfterMs);

describe('the deadline', () => {
  it('ends the call and its socket', async () => {
    open({ callDeadlineMs: 800 });
    const call = remove();
    await arrivals(1);
    const ended = closed(arrived[0]?.socket);
    expect(await call).toMatchObject({ kind: 'network', code: 'timeout', effect: 'unknown' });
    await ended;
  });

  it('covers an answer that never ends', async () => {
    open({ callDeadlineMs: 800 });
    const call = remove();
    await arrivals(1);
    arrived[0]?.response.write('{"RequestId":"r",');
    expect(await call).toMatchObject({ kind: 'network', code: 'timeout', effect: 'unknown' });
  });

  it('covers the wait for a connection, and who gave up holds no place', async () => {
    open({ callDeadlineMs: 800, maxConnections: 1 });
    const answers = await Promise.all([remove(), remove(), remove()]);
    expect(answers.map(codeOf)).toEqual(['network-timeout', 'network-timeout', 'network-timeout']);
    // Only what may have arrived has an unknown effect.
    expect(answers.filter(effectUnknown).length).toBeGreaterThanOrEqual(arrived.length);
    arrived = [];
    const next = remove();
    await arrivals(1);
    answerAll();
    expect(await next).toMatchObject({ kind: 'accepted' });
  });

  it('covers credentials that never come', async () => {
    open({
      callDeadlineMs: 100,
      credentials: { get: () => new Promise(() => undefined), invalidate: () => undefined },
    });
    expect(await remove()).toMatchObject({
      kind: 'not-sent',
      reason: 'no-credentials',
      message: expect.stringContaining('100 ms'),
    });
    expect(sockets.size).toBe(0);
  });
});

describe('a void slot', () => {
  const slotVoid = { kind: 'not-sent', reason: 'slot-void' };

  it('sends nothing, opens nothing and is not even signed', async () => {
    let reads = 0;
    const key = {
      accessKeyId: KEY.accessKeyId,
      get accessKeySecret() {
        reads += 1;
        return KEY.accessKeySecret;
      },
    };
    open({ credentials: holding(key) });
    // The first call also reads the secret to know what to redact.
    expect(await remove(performance.now() - 1)).toMatchObject(slotVoid);
    const before = reads;
    expect(await remove(performance.now() - 1)).toMatchObject(slotVoid);
    expect(reads).toBe(before);
    expect(sockets.size).toBe(0);
  });

  it('is noticed after the credentials have come', async () => {
    let give: (() => void) | undefined;
    const credentials: CredentialSource = {
      get: () => new Promise((resolve) => (give = () => resolve(KEY))),
      invalidate: () => undefined,
    };
    open({ credentials });
    const notAfterMs = performance.now() + 20;
    const call = remove(notAfterMs);
    while (performance.now() <= notAfterMs) await new Promise((resolve) => setImmediate(resolve));
    give?.();
    expect(await call).toMatchObject(slotVoid);
    expect(sockets.size).toBe(0);
  });

  it('is noticed after the wait for a connection', async () => {
    open({ maxConnections: 1 });
    const first = remove();
    await arrivals(1);
    const notAfterMs = performance.now() + 20;
    const second = remove(notAfterMs);
    while (performance.now() <= notAfterMs) await new Promise((resolve) => setImmediate(resolve));
    answerAll();
    expect(await first).toMatchObject({ kind: 'accepted' });
    expect(await second).toMatchObject(slotVoid);
    expect(arrived).toHaveLength(0);
  });

  it('that is still good sends, also on a connection in use before', async () => {
    open();
    for (let call = 0; call < 2; call += 1) {
      const answer = remove(performance.now() + 60_000);
      await arrivals(1);
      answerAll();
      expect(await answer).toMatchObject({ kind: 'accepted' });
    }
    expect(sockets.size).toBe(1);
  });
});

describe('connections', () => {
  it('are shared by any number of calls, never more than allowed, and kept', async () => {
    const maxConnections = 8;
    open({ maxConnections });
    let busy = 0;
    let most = 0;
    wire.server.on('arrival', () => {
      busy += 1;
      most = Math.max(most, busy);
      setImmediate(() => {
        busy -= 1;
        const held = arrived.shift();
        held?.response.end(JSON.stringify({ RequestId: 'r', DeviceSn: CERTIFICATE.deviceSn }));
      });
    });
    for (let round = 0; round < 3; round += 1) {
      const answers = await Promise.all(Array.from({ length: 200 }, () => remove()));
      expect(new Set(answers.map(({ kind }) => kind))).toEqual(new Set(['accepted']));
    }
    expect(sockets.size).toBe(maxConnections);
    expect([...sockets].every((socket) => !socket.destroyed)).toBe(true);
    expect(most).toBeLessThanOrEqual(maxConnections);
  });

  it('are replaced after the server reset them', async () => {
    open({ maxConnections: 1 });
    for (let round = 0; round < 3; round += 1) {
      const call = remove();
      await arrivals(1);
      arrived.pop()?.socket.resetAndDestroy();
      expect(await call).toMatchObject({ kind: 'network', code: 'ECONNRESET', effect: 'unknown' });
    }
    expect(sockets.size).toBe(3);
  });

  it('end with the client; later calls are not sent', async () => {
    open({ maxConnections: 1 });
    const cutOff = remove();
    const waiting = remove();
    await arrivals(1);
    client.close();
    expect(await cutOff).toMatchObject({ kind: 'network', code: 'ECONNRESET', effect: 'unknown' });
    expect(await waiting).toMatchObject({ kind: 'network', code: 'closed', effect: 'none' });
    expect(await remove()).toMatchObject({ kind: 'network', code: 'closed', effect: 'none' });
    expect(arrived).toHaveLength(1);
  });
});
