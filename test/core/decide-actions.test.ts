import { describe, expect, it } from 'vitest';
import { ACTIONS, CALL_ACTIONS, ENDS, isAmiss, outcomesOfAction, statusAfter } from '../../src/core/action.ts';
import type { Answer, Refused } from '../../src/core/answer.ts';
import { decideByRead } from '../../src/core/decide-by-read.ts';
import { decide, FIRST_ATTEMPT, recordAttempt, type Attempt } from '../../src/core/decide.ts';

const POLICY = { attempts: 5, notFound: 'already-gone' } as const;
const UNSURE: Attempt = { failures: 0, calls: 1, effectUnknown: true };
const refused = (code: string): Refused => ({ kind: 'refused', status: 400, code, message: 'm', requestId: 'R' });
const read = (status: 'active' | 'inactive') =>
  ({ kind: 'accepted', requestId: 'R', data: { status } }) as const satisfies Answer & { data: object };
const OTHERS = ['inactivate', 'activate'] as const;

describe.each(OTHERS)('to %s', (action) => {
  const { done, already } = ENDS[action];
  const wanted = statusAfter(action) ?? 'active';
  const other = wanted === 'active' ? 'inactive' : 'active';

  it('is done where the API accepts it, also after a call that may have worked', () => {
    for (const attempt of [FIRST_ATTEMPT, UNSURE])
      expect(decide({ kind: 'accepted', requestId: 'R' }, attempt, POLICY, 'untried', action)).toEqual({
        kind: 'done',
        outcome: done,
        confirmedBy: 'answer',
      });
  });

  it('is never done by absence', () => {
    for (const attempt of [FIRST_ATTEMPT, UNSURE]) {
      const verdict = decide(refused('FindDeviceBySnError'), attempt, POLICY, 'untried', action);
      expect(verdict).toMatchObject({ kind: 'dead', code: 'FindDeviceBySnError' });
      const puzzle = { answer: refused('Strange'), mayBeOurs: attempt.effectUnknown };
      expect(decideByRead(refused('FindDeviceBySnError'), puzzle, attempt, POLICY, action).kind).toBe('dead');
    }
  });

  it('is decided by a read where no row of the table knows the code', () => {
    const answer = refused('DeviceStateConflict');
    const verdict = decide(answer, FIRST_ATTEMPT, POLICY, 'untried', action);
    expect(verdict).toMatchObject({ kind: 'unclear', code: 'DeviceStateConflict' });
    const attempt = recordAttempt(FIRST_ATTEMPT, answer, verdict);
    expect(attempt).toEqual({ failures: 0, calls: 1, effectUnknown: true });
    const judge = (mayBeOurs: boolean, status: 'active' | 'inactive', of: Attempt = attempt) =>
      decideByRead(read(status), { answer, mayBeOurs }, of, POLICY, action);
    expect(judge(false, wanted)).toEqual({ kind: 'done', outcome: already, confirmedBy: 'read' });
    expect(judge(true, wanted)).toEqual({ kind: 'done', outcome: done, confirmedBy: 'read' });
    expect(judge(true, other)).toMatchObject({ kind: 'retry', again: 'backoff', code: 'DeviceStateConflict' });
    expect(judge(true, other, { ...attempt, failures: 2 })).toMatchObject({
      kind: 'dead',
      code: 'DeviceStateConflict',
    });
  });

  it('halts nothing where only the read is forbidden, and says so in the end', () => {
    const puzzle = { answer: refused('DeviceStateConflict'), mayBeOurs: false };
    const once = decideByRead(refused('NoPermission'), puzzle, UNSURE, POLICY, action);
    expect(once).toMatchObject({ kind: 'retry', code: 'DeviceStateConflict' });
    const last = decideByRead(refused('NoPermission'), puzzle, { ...UNSURE, failures: 2 }, POLICY, action);
    expect(last).toMatchObject({ kind: 'dead', code: 'DeviceStateConflict' });
    expect(last.kind === 'dead' && last.message).toContain('NoPermission');
  });

  it('does not end by a read that tells nothing', () => {
    const puzzle = { answer: refused('DeviceStateConflict'), mayBeOurs: false };
    const lost: Answer = { kind: 'network', code: 'timeout', message: '', effect: 'none' };
    for (const answer of [lost, refused('InternalError'), refused('Strange')])
      expect(decideByRead(answer, puzzle, UNSURE, POLICY, action).kind).toBe('retry');
    expect(decideByRead(refused('Throttling'), puzzle, UNSURE, POLICY, action).kind).toBe('throttled');
    expect(decideByRead(refused('Forbidden.RiskControl'), puzzle, UNSURE, POLICY, action).kind).toBe('halt');
  });
});

it('a deletion asks for no read', () => {
  expect(decide(refused('Strange'), FIRST_ATTEMPT, POLICY)).toMatchObject({ kind: 'retry', code: 'Strange' });
});

it('actions share no outcome but those that are no good end, and what is amiss is what they did not leave', () => {
  const good = CALL_ACTIONS.flatMap((action) => [ENDS[action].done, ENDS[action].already]);
  expect(new Set(good).size).toBe(good.length);
  for (const action of ACTIONS) expect(outcomesOfAction(action).slice(-2)).toEqual(['dead', 'cancelled']);
  const amiss = ACTIONS.map((action) => [isAmiss(action, 'active'), isAmiss(action, 'inactive')]);
  expect(amiss).toEqual([
    [true, true],
    [true, false],
    [false, true],
    [true, false],
  ]);
});
