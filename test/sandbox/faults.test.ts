import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FAULT_KINDS, type Fault } from '../../src/sandbox/fault-plan.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { CERTIFICATE, remove, startTestSandbox } from './call.ts';

let sandbox: Sandbox;
let made = 0;
let certificate = CERTIFICATE;
beforeAll(async () => {
  sandbox = await startTestSandbox();
});
afterAll(() => sandbox.close());
beforeEach(() => {
  made += 1;
  certificate = { ...CERTIFICATE, deviceSn: `00${made}` };
});

interface Expected {
  readonly fault: Fault;
  /** What the SDK's user sees. */
  readonly seen: object;
  /** Whether the certificate is gone after it. */
  readonly effect: boolean;
}

const CASES: readonly Expected[] = [
  {
    fault: { kind: 'code', code: 'FindCaBySnError', status: 417 },
    seen: { kind: 'code', code: 'FindCaBySnError', status: 417 },
    effect: false,
  },
  {
    fault: { kind: 'code', code: 'NeverHeardOf' },
    seen: { kind: 'code', code: 'NeverHeardOf', status: 400 },
    effect: false,
  },
  { fault: { kind: 'html' }, seen: { kind: 'failed', name: 'SyntaxError' }, effect: false },
  { fault: { kind: 'empty' }, seen: { kind: 'failed', name: 'SyntaxError' }, effect: false },
  { fault: { kind: 'no-code' }, seen: { kind: 'resolved', status: 503 }, effect: false },
  { fault: { kind: 'empty-object' }, seen: { kind: 'resolved', status: 200, body: {} }, effect: false },
  { fault: { kind: 'wrong-echo' }, seen: { kind: 'resolved', status: 200 }, effect: false },
  { fault: { kind: 'reset-before' }, seen: { kind: 'failed', code: 'ECONNRESET' }, effect: false },
  { fault: { kind: 'reset-after' }, seen: { kind: 'failed', code: 'ECONNRESET' }, effect: true },
  { fault: { kind: 'slow', delayMs: 10 }, seen: { kind: 'resolved', status: 200 }, effect: true },
  { fault: { kind: 'slow', delayMs: 60_000 }, seen: { kind: 'failed', name: 'RequestTimeoutError' }, effect: true },
  { fault: { kind: 'hang' }, seen: { kind: 'failed', name: 'RequestTimeoutError' }, effect: false },
  {
    fault: { kind: 'code-after', code: 'InternalError', status: 500 },
    seen: { kind: 'code', code: 'InternalError', status: 500 },
    effect: true,
  },
  { fault: { kind: 'answer-lost-after' }, seen: { kind: 'failed', name: 'SyntaxError' }, effect: true },
  {
    fault: { kind: 'throttle', status: 429, retryAfterMs: 300 },
    seen: { kind: 'code', code: 'Throttling.User', status: 429, retryAfter: '300' },
    effect: false,
  },
  {
    fault: { kind: 'throttle' },
    seen: { kind: 'code', code: 'Throttling.User', retryAfter: undefined },
    effect: false,
  },
];

describe('each kind of fault', () => {
  it.each(CASES)('$fault looks like $seen.kind, once', async ({ fault, seen, effect }) => {
    sandbox.setPlan({ seed: 1, faults: [{ ...fault, deviceSns: [certificate.deviceSn] }] });
    const neverAnswers = seen instanceof Object && 'name' in seen && seen.name === 'RequestTimeoutError';
    const options = neverAnswers ? { readTimeout: 100 } : {};
    expect(await remove(sandbox, certificate, { options })).toMatchObject(seen);
    expect(sandbox.has(certificate)).toBe(!effect);
    const again = await remove(sandbox, certificate);
    expect(again).toMatchObject(effect ? { code: 'FindDeviceBySnError' } : { kind: 'resolved', status: 200 });
  });

  it('has a case here', () => {
    expect(new Set(CASES.map(({ fault }) => fault.kind))).toEqual(new Set(FAULT_KINDS));
  });

  it('that echoes another device names another device', async () => {
    sandbox.setPlan({ seed: 1, faults: [{ kind: 'wrong-echo' }] });
    const seen = await remove(sandbox, certificate);
    expect(seen).toMatchObject({ body: { DeviceSn: expect.not.stringMatching(`^${certificate.deviceSn}$`) } });
  });

  it('meets a device as often as the plan says, the faults of a plan one after the other', async () => {
    sandbox.setPlan({
      seed: 1,
      faults: [
        { kind: 'code', code: 'InternalError', times: 2 },
        { kind: 'code', code: 'ServiceUnavailable', times: 1 },
      ],
    });
    const codes = [];
    for (let tries = 0; tries < 4; tries += 1) {
      const seen = await remove(sandbox, certificate);
      codes.push(seen.kind === 'code' ? seen.code : seen.kind);
    }
    expect(codes).toEqual(['InternalError', 'InternalError', 'ServiceUnavailable', 'resolved']);
  });

  it('is counted, and a plan set again starts over', async () => {
    const before = sandbox.seen().byFault['empty-object'] ?? 0;
    for (let round = 0; round < 2; round += 1) {
      sandbox.setPlan({ seed: 1, faults: [{ kind: 'empty-object' }] });
      expect(await remove(sandbox, certificate)).toMatchObject({ body: {} });
    }
    expect(sandbox.seen().byFault['empty-object']).toBe(before + 2);
  });
});
