import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  judgeDirectJob,
  SIGNED_FOR_MOST_S,
  textToSign,
  type ClaimingJob,
  type DirectPolicy,
  type SignedClaims,
} from '../../src/core/direct-job.ts';

const NOW = 1_767_225_600;
const certificate = { instanceId: 'post-cn-a', caSn: 'CA01', deviceSn: '00ff' };
const job: ClaimingJob = { jobId: 'mine', certificate };
const policyOf = (changes: Partial<DirectPolicy>): DirectPolicy => ({ accept: 'any', maxPerHour: 10, ...changes });
const SIGNED = policyOf({ accept: 'signed' });
const sig = 'a'.repeat(64);
const signed: ClaimingJob = { ...job, expires: NOW + 60, sig };
const always = (): boolean => true;

describe('what is taken in', () => {
  it('is everything where any is accepted, whatever a job claims', () => {
    expect(judgeDirectJob(job, policyOf({}), NOW)).toEqual({ kind: 'accepted' });
    expect(judgeDirectJob({ ...job, sig: 7, expires: 'never' }, policyOf({}), NOW)).toEqual({ kind: 'accepted' });
  });

  it('is nothing where none is, and only what the listed instances have', () => {
    expect(judgeDirectJob(signed, policyOf({ accept: 'none' }), NOW, always)).toMatchObject({
      kind: 'refused',
      code: 'direct-not-accepted',
    });
    for (const accept of ['any', 'signed'] as const) {
      const elsewhere = policyOf({ accept, instances: ['post-cn-b'] });
      const code = 'instance-not-accepted';
      expect(judgeDirectJob(signed, elsewhere, NOW, always)).toMatchObject({ kind: 'refused', code });
      const here = policyOf({ accept, instances: ['post-cn-b', 'post-cn-a'] });
      expect(judgeDirectJob(signed, here, NOW, always)).toEqual({ kind: 'accepted' });
    }
  });

  it('is only what is signed, for the time that it says, where signed is', () => {
    expect(judgeDirectJob(signed, SIGNED, NOW, always)).toEqual({ kind: 'accepted' });
    const last = { ...signed, expires: NOW + SIGNED_FOR_MOST_S };
    expect(judgeDirectJob(last, SIGNED, NOW, always)).toEqual({ kind: 'accepted' });
    const refused: [Partial<ClaimingJob>, string][] = [
      [{ sig: undefined }, 'sig is absent'],
      [{ sig: sig.toUpperCase() }, '64 lower-case'],
      [{ sig: sig.slice(1) }, '64 lower-case'],
      [{ sig: [sig] }, '64 lower-case'],
      [{ jobId: '4711' }, 'the job has no id'],
      [{ jobId: '' }, 'the job has no id'],
      [{ jobId: 'a\0b' }, 'NUL'],
      [{ expires: undefined }, 'not a whole number'],
      [{ expires: String(NOW + 60) }, 'not a whole number'],
      [{ expires: NOW + 0.5 }, 'not a whole number'],
      [{ expires: NOW }, 'has expired 0 s ago'],
      [{ expires: NOW - 1 }, 'has expired 1 s ago'],
      [{ expires: NOW + SIGNED_FOR_MOST_S + 1 }, 'at most 86400'],
      [{ requestedBy: 7 }, 'must be text'],
      [{ reason: null }, 'must be text'],
      [{ reason: 'a\0b' }, 'NUL'],
      [{ reason: 'a\ud800b' }, 'half a surrogate pair'],
      [{ jobId: 'a\udfff' }, 'half a surrogate pair'],
    ];
    for (const [change, words] of refused) {
      const verdict = judgeDirectJob({ ...signed, ...change }, SIGNED, NOW, always);
      expect(verdict).toMatchObject({ kind: 'refused', code: 'unsigned-job' });
      expect(verdict).toHaveProperty('message', expect.stringContaining(words));
    }
    expect(judgeDirectJob({ ...signed, reason: 'a\u{1f600}b' }, SIGNED, NOW, always)).toEqual({ kind: 'accepted' });
    expect(judgeDirectJob(signed, SIGNED, NOW, () => false)).toMatchObject({ code: 'unsigned-job' });
    expect(judgeDirectJob(signed, SIGNED, NOW)).toMatchObject({ code: 'unsigned-job' });
  });

  it('asks for the signature of what the job says, and of nothing else', () => {
    const asked: unknown[] = [];
    const claims = { requestedBy: 'me', reason: '' };
    judgeDirectJob({ ...signed, ...claims }, SIGNED, NOW, (...args) => asked.push(args) > 0);
    const text = ['certsweep-job-1', 'mine', 'post-cn-a', 'CA01', '00ff', 'me', '', String(NOW + 60)].join('\0');
    expect(asked).toEqual([[text, sig]]);
  });
});

it('two jobs that differ never have one text to sign', () => {
  const word = fc.string({ maxLength: 4, unit: fc.constantFrom('a', '\0', '1', 'é') });
  const claims = fc.record({
    jobId: word,
    instanceId: word,
    caSn: word,
    deviceSn: word,
    requestedBy: word,
    reason: word,
    expires: fc.nat(20),
  });
  const property = fc.property(claims, claims, (one: SignedClaims, other: SignedClaims) => {
    const [text, another] = [textToSign(one), textToSign(other)];
    const values = Object.values(one).map(String);
    if (text === undefined) return values.some((value) => value.includes('\0'));
    return text !== another || JSON.stringify(one) === JSON.stringify(other);
  });
  fc.assert(property, { numRuns: 2_000 });
});
