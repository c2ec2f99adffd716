import type { ServerResponse } from 'node:http';
import { deflateSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMqttClient, type MqttClient } from '../../src/mqtt/client.ts';
import { MAX_ANSWER_BYTES } from '../../src/mqtt/bounded-answer.ts';
import { CERTIFICATE, optionsFor, startWire, type Wire } from './clients.ts';

let wire: Wire;
let client: MqttClient;
let respond: (response: ServerResponse) => void;
/** Of the connections, as each ended. */
let written: number[];
beforeEach(async () => {
  written = [];
  wire = await startWire((_request, response) => respond(response));
  wire.server.on('connection', (socket) => socket.once('close', () => written.push(socket.bytesWritten)));
  client = createMqttClient(optionsFor(wire.url, { maxConnections: 1 }));
});
afterEach(async () => {
  client.close();
  await wire.close();
});

const remove = (): ReturnType<MqttClient['deleteDeviceCertificate']> => client.deleteDeviceCertificate(CERTIFICATE);
const WELL = JSON.stringify({ RequestId: 'r', DeviceSn: CERTIFICATE.deviceSn });
const TOO_LONG = { kind: 'garbled', message: expect.stringContaining(`more than ${MAX_ANSWER_BYTES} bytes`) };
const padded = (length: number): string => `${WELL}${' '.repeat(length - WELL.length)}`;

describe('an answer', () => {
  it('of a mebibyte is read, and one of a byte more is not', async () => {
    respond = (response) => response.end(padded(MAX_ANSWER_BYTES));
    expect(await remove()).toMatchObject({ kind: 'accepted' });
    respond = (response) => response.end(padded(MAX_ANSWER_BYTES + 1));
    expect(await remove()).toMatchObject(TOO_LONG);
    respond = (response) => response.end(WELL);
    expect(await remove()).toMatchObject({ kind: 'accepted' });
  });

  it('that never ends ends with its connection', async () => {
    respond = (response) => {
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536, 'x')));
      };
      response.on('drain', more);
      more();
    };
    expect(await remove()).toMatchObject(TOO_LONG);
    await expect.poll(() => written.length).toBe(1);
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
  ])('that %s has made small counts as it is', async (encoding, pack) => {
    respond = (response) => {
      response.setHeader('content-encoding', encoding);
      response.end(pack(padded(MAX_ANSWER_BYTES)));
    };
    expect(await remove()).toMatchObject({ kind: 'accepted' });
    const bomb = pack(Buffer.alloc(64 * MAX_ANSWER_BYTES));
    respond = (response) => {
      response.setHeader('content-encoding', encoding);
      response.end(bomb);
    };
    expect(await remove()).toMatchObject(TOO_LONG);
    respond = (response) => response.end(WELL);
    expect(await remove()).toMatchObject({ kind: 'accepted' });
  });

  it('that is nested without end cannot be read', async () => {
    respond = (response) => response.end('['.repeat(MAX_ANSWER_BYTES));
    expect(await remove()).toMatchObject({ kind: 'garbled', message: expect.stringContaining('cannot be read') });
  });
});
