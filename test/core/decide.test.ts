import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { effectUnknown, type Answer, type Refused } from '../../src/core/answer.ts';
import { blameOf, CODE_TABLE } from '../../src/core/code-table.ts';
import { decide, FIRST_ATTEMPT, MAX_CALLS, recordAttempt, UNKNOWN_CODE_TRIES } from '../../src/core/decide.ts';
import type { Attempt, DecidePolicy, Verdict } from '../../src/core/decide.ts';

const POLICY: DecidePolicy = { attempts: 8, notFound: 'already-gone' };
const LOST: Attempt = { failures: 1, calls: 1, effectUnknown: true };
const refused = (code: string, more: Partial<Refused> = {}): Refused => {
  return { kind: 'refused', status: 500, code, message: `about ${code}`, requestId: 'r', ...more };
};

type Expected = (code: string) => Verdict;
const dead: Expected = (code) => ({ kind: 'dead', code, message: `about ${code}` });
const haltAccount: Expected = (code) => ({ kind: 'halt', scope: 'account', code, message: `about ${code}` });
const haltInstance: Expected = (code) => ({ kind: 'halt', scope: 'instance', code, message: `about ${code}` });
const throttled: Expected = (code) => ({ kind: 'throttled', retryAfterMs: 0, code });
const again =
  (how: 'backoff' | 'at-once' | 'fresh-credentials'): Expected =>
  (code) => ({ kind: 'retry', again: how, code });

/** The table of error codes in the API's documentation, row by row; on a first, clean attempt. */
const CODES: readonly (readonly [expected: Expected, ...codes: string[]])[] = [
  [dead, 'ParameterFieldCheckFailed', 'ParameterCheckFailed', 'InvalidParameter', 'InvalidParameter.DeviceSn'],
  [dead, 'MissingParameter', 'MissingMqttInstanceId', 'FindCaBySnError'],
  [() => ({ kind: 'done', outcome: 'already-gone', confirmedBy: 'answer' }), 'FindDeviceBySnError'],
  [haltInstance, 'MqttInstanceNotFound', 'MqttOwnerCheckError', 'InstancePermissionCheckFailed'],
  [haltInstance, 'PermissionCheckFailed', 'ApiNotSupport'],
  [haltAccount, 'Forbidden', 'Forbidden.RAM', 'NoPermission', 'Forbidden.RiskControl'],
  [haltAccount, 'InvalidAccessKeyId.NotFound', 'InvalidAccessKeyId.Inactive', 'SignatureDoesNotMatch'],
  [haltAccount, 'IncompleteSignature', 'CheckAccountInfoFailed', 'InvalidTimeStamp', 'InvalidTimeStamp.Expired'],
  [haltAccount, 'UnsupportedHTTPMethod', 'InvalidApi.NotFound', 'InvalidApi', 'InvalidProduct.NotFound'],
  [haltAccount, 'InvalidVersion', 'InvalidProtocol.NeedSsl'],
  [
    again('fresh-credentials'),
    'InvalidSecurityToken',
    'MissingSecurityToken',
    'InvalidSecurityToken.Expired',
    'InvalidSecurityToken.Malformed',
  ],
  [throttled, 'Throttling', 'Throttling.User', 'Throttling.Api', 'Service.Throttling', 'SystemOverFlow'],
  [again('at-once'), 'SignatureNonceUsed'],
  [again('backoff'), 'ServiceUnavailable', 'InternalError', 'GetCaNumError'],
  [again('backoff'), 'SomethingNew', 'Forbidden.Other', 'InvalidParameters', 'throttling', 'internalerror', ''],
];
const ALL = CODES.flatMap(([expected, ...codes]) => codes.map((code) => [code, expected] as const));
const codes = ALL.map(([code]) => code);

describe('each code', () => {
  it.each(ALL)('%s on a first attempt', (code, expected) => {
    expect(decide(refused(code), FIRST_ATTEMPT, POLICY)).toEqual(expected(code));
  });

  it.each(ALL)('%s after an attempt whose end is not known', (code, expected) => {
    const verdict = decide(refused(code), LOST, POLICY);
    const absent: Verdict = { kind: 'done', outcome: 'revoked', confirmedBy: 'absence' };
    expect(verdict).toEqual(code === 'FindDeviceBySnError' ? absent : expected(code));
  });

  it('of the code table is among them', () => {
    const met = CODE_TABLE.filter((row) =>
      codes.some((code) => code.includes(row.code) && blameOf(code) === row.blame),
    );
    expect(met).toEqual(CODE_TABLE);
  });

  it('decides alone: the HTTP status, the message and the request id never matter', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...codes),
        fc.integer(),
        fc.string(),
        fc.boolean(),
        (code, status, requestId, lost) => {
          const attempt = lost ? LOST : FIRST_ATTEMPT;
          const seen = decide(refused(code, { status, requestId }), attempt, POLICY);
          expect(seen).toEqual(decide(refused(code), attempt, POLICY));
          const { kind } = decide(refused(code, { status, message: requestId }), attempt, POLICY);
          expect(kind).toBe(seen.kind);
        },
      ),
    );
  });

  it('never becomes a revocation, except absence after a lost answer', () => {
    const attempts = fc.record({
      failures: fc.nat(20),
      calls: fc.nat(300),
      effectUnknown: fc.boolean(),
    });
    const policies = fc.record({
      attempts: fc.integer({ min: 1, max: 20 }),
      notFound: fc.constantFrom('already-gone' as const, 'dead' as const),
    });
    const anyCode = fc.oneof(fc.constantFrom(...codes), fc.string());
    fc.assert(
      fc.property(anyCode, attempts, policies, (code, attempt, policy) => {
        const verdict = decide(refused(code), attempt, policy);
        const revoked = verdict.kind === 'done' && verdict.outcome === 'revoked';
        expect(revoked).toBe(code === 'FindDeviceBySnError' && attempt.effectUnknown);
      }),
    );
  });
});

describe('decide', () => {
  it('counts as revoked what the API accepted, whatever came before', () => {
    for (const attempt of [FIRST_ATTEMPT, LOST, { ...LOST, calls: 1000, failures: 1000 }]) {
      expect(decide({ kind: 'accepted', requestId: 'r' }, attempt, POLICY)).toEqual({
        kind: 'done',
        outcome: 'revoked',
        confirmedBy: 'answer',
      });
    }
  });

  it('lets the operator call a certificate that never was dead, but not one that may just have gone', () => {
    const policy: DecidePolicy = { ...POLICY, notFound: 'dead' };
    expect(decide(refused('FindDeviceBySnError'), FIRST_ATTEMPT, policy)).toEqual(dead('FindDeviceBySnError'));
    expect(decide(refused('FindDeviceBySnError'), LOST, policy)).toMatchObject({ kind: 'done', outcome: 'revoked' });
  });

  it('asks for fresh credentials where a token is refused, and stops the account where they are not better', () => {
    const answer = refused('InvalidSecurityToken.Expired');
    const verdict = decide(answer, FIRST_ATTEMPT, POLICY);
    expect(verdict).toEqual({ kind: 'retry', again: 'fresh-credentials', code: 'InvalidSecurityToken.Expired' });
    expect(recordAttempt(FIRST_ATTEMPT, answer, verdict)).toEqual({ failures: 0, calls: 1, effectUnknown: false });
    expect(decide(answer, FIRST_ATTEMPT, POLICY, 'failed')).toEqual(haltAccount('InvalidSecurityToken.Expired'));
  });

  it('tries later, which is no try lost and yet not for ever, where the token that is refused works for other calls', () => {
    const answer = refused('InvalidSecurityToken.Expired');
    const verdict = decide(answer, FIRST_ATTEMPT, POLICY, 'proven');
    expect(verdict).toEqual({ kind: 'retry', again: 'later', code: 'InvalidSecurityToken.Expired' });
    expect(recordAttempt(FIRST_ATTEMPT, answer, verdict)).toEqual({ failures: 0, calls: 1, effectUnknown: false });
    const last = { ...FIRST_ATTEMPT, calls: MAX_CALLS - 1 };
    expect(decide(answer, last, POLICY, 'proven')).toEqual(dead('InvalidSecurityToken.Expired'));
  });

  it('hands on how long to wait', () => {
    expect(decide(refused('Throttling', { retryAfterMs: 750 }), FIRST_ATTEMPT, POLICY)).toMatchObject({
      retryAfterMs: 750,
    });
  });

  it('has no fault of an item in a call that was not sent', () => {
    const at = { ...LOST, failures: 100, calls: 500 };
    const message = 'm';
    expect(decide({ kind: 'not-sent', reason: 'slot-void', message }, at, POLICY)).toEqual(
      again('at-once')('slot-void'),
    );
    expect(decide({ kind: 'not-sent', reason: 'no-credentials', message }, at, POLICY)).toEqual({
      kind: 'halt',
      scope: 'account',
      code: 'no-credentials',
      message,
    });
  });
});

/** Asks again until the verdict ends the item or stops the line, as the processor does. */
function course(answers: Iterable<Answer>, policy: DecidePolicy): { verdicts: Verdict[]; attempt: Attempt } {
  let attempt = FIRST_ATTEMPT;
  const verdicts: Verdict[] = [];
  for (const answer of answers) {
    const verdict = decide(answer, attempt, policy);
    verdicts.push(verdict);
    attempt = recordAttempt(attempt, answer, verdict);
    if (verdict.kind === 'done' || verdict.kind === 'dead' || verdict.kind === 'halt') break;
  }
  return { verdicts, attempt };
}

function* always(answer: Answer): Generator<Answer> {
  for (let call = 0; call < 10 * MAX_CALLS; call += 1) yield answer;
}

describe('an item that meets the same answer for ever', () => {
  const lost: Answer = { kind: 'network', code: 'ETIMEDOUT', message: 'm', effect: 'unknown' };
  it.each<[string, Answer, number]>([
    ['a service fault', refused('InternalError'), POLICY.attempts],
    ['a nonce that was used', refused('SignatureNonceUsed'), POLICY.attempts],
    ['a timeout', lost, POLICY.attempts],
    ['no connection', { ...lost, effect: 'none' }, POLICY.attempts],
    ['a garbled answer', { kind: 'garbled', message: 'm' }, POLICY.attempts],
    ['an unknown code', refused('SomethingNew'), UNKNOWN_CODE_TRIES],
    ['a throttling', refused('Throttling.User'), MAX_CALLS],
  ])('%s is dead after its tries, with the code kept', (_, answer, calls) => {
    const { verdicts, attempt } = course(always(answer), POLICY);
    expect([verdicts.length, attempt.calls]).toEqual([calls, calls]);
    const first = verdicts[0];
    const code = first !== undefined && 'code' in first ? first.code : '';
    expect(verdicts.at(-1)).toMatchObject({ kind: 'dead', code });
    expect(code).not.toBe('');
  });

  it('has no more tries than the policy gives, even for an unknown code', () => {
    for (const answer of [refused('SomethingNew'), refused('InternalError'), lost]) {
      expect(course(always(answer), { ...POLICY, attempts: 1 }).verdicts).toMatchObject([{ kind: 'dead' }]);
    }
    expect(UNKNOWN_CODE_TRIES).toBe(3);
  });
});

describe('any course of answers', () => {
  const answer: fc.Arbitrary<Answer> = fc.oneof(
    fc.constantFrom(...codes).map((code) => refused(code)),
    fc.constantFrom<Answer>(
      { kind: 'network', code: 'ECONNRESET', message: 'm', effect: 'unknown' },
      { kind: 'network', code: 'ECONNREFUSED', message: 'm', effect: 'none' },
      { kind: 'garbled', message: 'm' },
      { kind: 'not-sent', reason: 'slot-void', message: 'm' },
    ),
  );

  it('keeps its record: calls sent, tries failed, doubt never forgotten', () => {
    fc.assert(
      fc.property(fc.array(answer, { maxLength: 40 }), (answers) => {
        const { verdicts, attempt } = course(answers, POLICY);
        const met = answers.slice(0, verdicts.length);
        expect(attempt.calls).toBe(met.filter(({ kind }) => kind !== 'not-sent').length);
        expect(attempt.effectUnknown).toBe(met.some((one) => effectUnknown(one)));
        expect(attempt.failures).toBeLessThan(POLICY.attempts);
        const failed = verdicts.filter(
          (one, at) => one.kind === 'retry' && one.again !== 'fresh-credentials' && met[at]?.kind !== 'not-sent',
        );
        expect(attempt.failures).toBe(failed.length);
      }),
    );
  });

  it('ends within the most calls an item may have', () => {
    const circling = answer.filter(
      (one) => decide(one, FIRST_ATTEMPT, POLICY).kind !== 'halt' && one.kind !== 'not-sent',
    );
    fc.assert(
      fc.property(fc.array(circling, { minLength: 1, maxLength: 20 }), (answers) => {
        function* round(): Generator<Answer> {
          for (let turn = 0; turn < 2 * MAX_CALLS; turn += 1) yield* answers;
        }
        const { verdicts, attempt } = course(round(), { ...POLICY, attempts: 1000 });
        expect(attempt.calls).toBeLessThanOrEqual(MAX_CALLS);
        expect(['done', 'dead', 'halt']).toContain(verdicts.at(-1)?.kind);
      }),
    );
  });
});
