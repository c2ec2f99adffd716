import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codeOf, effectUnknown, type Answer } from '../../src/core/answer.ts';
import { createMqttClient, type MqttClient } from '../../src/mqtt/client.ts';
import { FAULT_KINDS, type Fault } from '../../src/sandbox/fault-plan.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { newCertificate, optionsFor, startTestSandbox, startWire, type Wire } from './clients.ts';

let sandbox: Sandbox;
let client: MqttClient;
let hasty: MqttClient;
beforeAll(async () => {
  sandbox = await startTestSandbox();
  client = createMqttClient(optionsFor(sandbox.url));
  hasty = createMqttClient(optionsFor(sandbox.url, { callDeadlineMs: 800 }));
});
afterAll(async () => {
  client.close();
  hasty.close();
  await sandbox.close();
});

const anyId = expect.stringMatching(/^[0-9A-F-]{36}$/);
const garbled = (status?: number): object => ({
  kind: 'garbled',
  message: expect.stringMatching(/^the answer /),
  ...(status === undefined ? {} : { status }),
});
const lost = { kind: 'network', code: 'ECONNRESET', effect: 'unknown' };
const late = { kind: 'network', code: 'timeout', message: 'no answer within 800 ms', effect: 'unknown' };
const throttled = { kind: 'refused', code: 'Throttling.User' };

const FAULTS: readonly (readonly [Fault, object])[] = [
  [
    { kind: 'code', code: 'FindCaBySnError', status: 417 },
    { kind: 'refused', status: 417, code: 'FindCaBySnError' },
  ],
  [
    { kind: 'code', code: 'NeverHeardOf' },
    { kind: 'refused', status: 400, code: 'NeverHeardOf', requestId: anyId },
  ],
  [{ kind: 'html' }, { ...garbled(), message: expect.stringContaining('502 Bad Gateway') }],
  [{ kind: 'empty' }, { kind: 'garbled', message: 'the answer cannot be read: it is empty' }],
  [{ kind: 'no-code' }, garbled(503)],
  [{ kind: 'empty-object' }, garbled(200)],
  [{ kind: 'wrong-echo' }, { ...garbled(200), message: expect.stringContaining('it names another device') }],
  [{ kind: 'reset-before' }, lost],
  [{ kind: 'reset-after' }, lost],
  [
    { kind: 'slow', delayMs: 10 },
    { kind: 'accepted', requestId: anyId },
  ],
  [{ kind: 'slow', delayMs: 60_000 }, late],
  [{ kind: 'hang' }, late],
  [{ kind: 'answer-lost-after' }, garbled()],
  [
    { kind: 'code-after', code: 'InternalError' },
    { kind: 'refused', code: 'InternalError', requestId: anyId },
  ],
  [
    { kind: 'throttle', status: 429, retryAfterMs: 300 },
    { ...throttled, status: 429, retryAfterMs: 300 },
  ],
  [{ kind: 'throttle' }, throttled],
];

describe('each fault of the sandbox is answered', () => {
  it.each(FAULTS)('%o as %o', async (fault, expected) => {
    const certificate = newCertificate();
    sandbox.setPlan({ seed: 1, faults: [{ ...fault, deviceSns: [certificate.deviceSn] }] });
    const patient = Reflect.get(expected, 'code') !== 'timeout';
    const answer = await (patient ? client : hasty).deleteDeviceCertificate(certificate);
    expect(answer).toMatchObject(expected);
    // What the answer claims of the certificate is true.
    const claimed = effectUnknown(answer) ? undefined : answer.kind !== 'accepted';
    expect([undefined, sandbox.has(certificate)]).toContain(claimed);
    // And the connection, kept or not, serves the next call.
    const again = await client.deleteDeviceCertificate(certificate);
    expect(['OK', 'FindDeviceBySnError']).toContain(codeOf(again));
  });

  it('for every kind there is', () => {
    expect(new Set(FAULTS.map(([{ kind }]) => kind))).toEqual(new Set(FAULT_KINDS));
  });

  it('and without one, calls are accepted, reads too', async () => {
    const certificate = newCertificate();
    expect(await client.readInstance(certificate.instanceId)).toEqual({ kind: 'accepted', requestId: anyId });
    expect(await client.deleteDeviceCertificate(certificate)).toEqual({ kind: 'accepted', requestId: anyId });
    expect(sandbox.has(certificate)).toBe(false);
    expect(await client.readInstance('post-cn-none')).toMatchObject({ code: 'MqttInstanceNotFound' });
  });

  it('and serial numbers of any marks arrive to the letter', async () => {
    for (const deviceSn of ["!'()*~ -_.+/=&?%41", '序列号é', '0', '1'.repeat(128)]) {
      const certificate = { ...newCertificate(), deviceSn };
      expect(await client.deleteDeviceCertificate(certificate)).toMatchObject({ kind: 'accepted' });
      expect(sandbox.has(certificate)).toBe(false);
    }
  });
});

const JSON_SHAPES: readonly (readonly [string, number, string, object])[] = [
  ['a true echo', 200, '{"RequestId":"r","DeviceSn":"SN"}', { kind: 'accepted', requestId: 'r' }],
  ['a true echo without a request id', 200, '{"DeviceSn":"SN"}', { kind: 'accepted', requestId: '' }],
  ['a success code', 200, '{"RequestId":"r","Code":"OK","DeviceSn":"SN"}', { kind: 'accepted' }],
  ['an echo under a failed status', 500, '{"RequestId":"r","DeviceSn":"SN"}', garbled(500)],
  ['an echo under a redirect', 302, '{"RequestId":"r","DeviceSn":"SN"}', garbled(302)],
  ['an echo as a number', 200, '{"RequestId":"r","DeviceSn":12}', garbled(200)],
  ['no echo', 200, '{"RequestId":"r"}', { ...garbled(200), requestId: 'r' }],
  ['an empty object', 500, '{}', garbled(500)],
  ['an empty code', 500, '{"Code":"","Message":"m"}', garbled(500)],
  ['null', 200, 'null', { kind: 'garbled', message: 'the answer cannot be read: it is not a JSON object' }],
  ['a list', 200, '["SN"]', garbled(200)],
  ['a text', 200, '"SN"', garbled(200)],
  ['half of an object', 200, '{"RequestId":"r","Devi', garbled()],
  ['a code under 200', 200, '{"RequestId":"r","Code":"X","Message":"m"}', { kind: 'refused', status: 200, code: 'X' }],
  ['a code that is a number', 500, '{"Code":503,"Message":"m"}', { kind: 'refused', code: '503', message: 'm' }],
  ['a code that is a list', 400, '{"Code":["X"],"Message":"m"}', garbled(400)],
  ['a code that is an object', 400, '{"Code":{"a":1}}', garbled()],
  ['a code without more', 400, '{"Code":"X"}', { kind: 'refused', code: 'X', message: '', requestId: '' }],
  ['a message that is an object', 400, '{"Code":"X","Message":{}}', garbled()],
  ['a colossal number', 200, '{"DeviceSn":123456789012345678901234567890}', garbled(200)],
  ['a hostile key', 200, '{"__proto__":{"DeviceSn":"SN"}}', garbled()],
];

describe('each shape of an answer', () => {
  let wire: Wire;
  let reply: { status: number; body: string; headers: Record<string, string> };
  let wired: MqttClient;
  beforeAll(async () => {
    wire = await startWire((_, response) => {
      response.writeHead(reply.status, reply.headers);
      response.end(reply.body);
    });
    wired = createMqttClient(optionsFor(wire.url));
  });
  afterAll(async () => {
    wired.close();
    await wire.close();
  });
  const ask = (body: string, status = 400, headers: Record<string, string> = {}): Promise<Answer> => {
    reply = { status, body, headers };
    return wired.deleteDeviceCertificate({ ...newCertificate(), deviceSn: 'SN' });
  };

  it.each(JSON_SHAPES)('%s (%i) is told apart', async (_, status, body, expected) => {
    expect(await ask(body, status)).toMatchObject(expected);
  });

  it('a read must have its data, however empty', async () => {
    const kinds = [];
    for (const body of ['{"Data":{}}', '{"Data":null}', '{"Data":"SN"}', '{}']) {
      reply = { status: 200, body, headers: {} };
      kinds.push((await wired.readInstance('post-cn-own')).kind);
    }
    expect(kinds).toEqual(['accepted', 'garbled', 'garbled', 'garbled']);
  });

  it.each<readonly [string, Record<string, string>, number | undefined]>([
    ['Throttling', { 'x-acs-retry-after': '300' }, 300],
    ['Throttling', { 'X-RateLimit-User': 'Limit:500,Remain:0,TimeLeft:700' }, 700],
    ['Throttling.Api', { 'X-RateLimit-User-API': 'Limit: 5, Remain: 0, TimeLeft: 40' }, 40],
    [
      'Throttling',
      { 'x-acs-retry-after': '9', 'X-RateLimit-User': 'TimeLeft:1', 'X-RateLimit-User-API': 'TimeLeft:8' },
      9,
    ],
    ['Throttling', { 'x-acs-retry-after': '99999999999' }, 600_000],
    ['Throttling', { 'x-acs-retry-after': 'soon', 'X-RateLimit-User': 'TimeLeft:-1' }, undefined],
    ['ServiceUnavailable', { 'X-RateLimit-User': 'Limit:500,Remain:499,TimeLeft:700' }, undefined],
    ['ServiceUnavailable', { 'x-acs-retry-after': '20' }, 20],
  ])('%s with %o asks for a wait of %s ms', async (code, headers, retryAfterMs) => {
    const answer = await ask(JSON.stringify({ Code: code, Message: 'm' }), 429, headers);
    expect(answer.kind === 'refused' ? answer.retryAfterMs : answer).toBe(retryAfterMs);
  });

  it('messages from outside are cut and hold no control characters', async () => {
    const Message = `\u001B[31mred\r\nnext\u202Eline ${'x'.repeat(5_000)}`;
    const answer = await ask(
      JSON.stringify({ Code: `C\n${'c'.repeat(900)}`, Message, RequestId: '\u0007'.repeat(900) }),
    );
    expect(answer).toMatchObject({ kind: 'refused', message: expect.stringMatching(/^\[31mred next line x+\.\.\.$/) });
    expect(inspect(answer).length).toBeLessThan(1_000);
  });
});
