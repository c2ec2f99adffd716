import { describe, expect, it } from 'vitest';
import { codeOf, effectUnknown } from '../../src/core/answer.ts';
import type { Answer } from '../../src/core/answer.ts';

const row = (code: string, unknown: boolean): [Answer, string, boolean] => [
  { kind: 'refused', status: 503, code, message: 'm', requestId: 'r' },
  code,
  unknown,
];

const answers: [Answer, string, boolean][] = [
  [{ kind: 'accepted', requestId: 'r' }, 'OK', false],
  ...(['FindCaBySnError', 'FindDeviceBySnError', 'Throttling.User', 'SystemOverFlow', 'Forbidden.RAM'] as const).map(
    (code) => row(code, false),
  ),
  ...(
    ['MqttInstanceNotFound', 'InvalidSecurityToken.Expired', 'InvalidTimeStamp.Expired', 'InvalidVersion'] as const
  ).map((code) => row(code, false)),
  // The service failed, perhaps behind the deletion; the nonce was used, so the call came twice; nobody knows the code.
  ...(['ServiceUnavailable', 'InternalError', 'GetCaNumError', 'SignatureNonceUsed'] as const).map((code) =>
    row(code, true),
  ),
  ...(['GatewayTimeout', '500', '0', 'SomethingNew', ''] as const).map((code) => row(code, true)),
  [{ kind: 'garbled', status: 502, message: 'm' }, 'garbled-answer', true],
  [{ kind: 'garbled', message: 'm', requestId: 'r' }, 'garbled-answer', true],
  [{ kind: 'network', code: 'ECONNRESET', message: 'm', effect: 'unknown' }, 'network-ECONNRESET', true],
  [{ kind: 'network', code: 'ECONNREFUSED', message: 'm', effect: 'none' }, 'network-ECONNREFUSED', false],
  [{ kind: 'not-sent', reason: 'slot-void', message: 'm' }, 'slot-void', false],
  [{ kind: 'not-sent', reason: 'no-credentials', message: 'm' }, 'no-credentials', false],
];

describe.each(answers)('the answer %j', (answer, code, unknown) => {
  it(`is kept as ${code}`, () => expect(codeOf(answer)).toBe(code));

  it(`leaves ${unknown ? 'a' : 'no'} doubt`, () => expect(effectUnknown(answer)).toBe(unknown));
});
