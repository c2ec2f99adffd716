import { describe, expect, it } from 'vitest';
import { codeOf, effectUnknown } from '../../src/core/answer.ts';
import type { Answer } from '../../src/core/answer.ts';

const answers: [Answer, string, boolean][] = [
  [{ kind: 'accepted', requestId: 'r' }, 'OK', false],
  [{ kind: 'refused', status: 500, code: 'FindCaBySnError', message: 'm', requestId: 'r' }, 'FindCaBySnError', false],
  [
    { kind: 'refused', status: 503, code: 'ServiceUnavailable', message: 'm', requestId: 'r' },
    'ServiceUnavailable',
    false,
  ],
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
