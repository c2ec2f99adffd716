import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { worstWindow } from '../../src/core/pace.ts';
import { AccountQuotas, EgressQuotas, SlidingSecond } from '../../src/sandbox/quotas.ts';
import { CERTIFICATE, remove, startTestSandbox } from './call.ts';

describe('SlidingSecond', () => {
  it('finds the worst second exactly', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 200 }), (gapsMs) => {
        const second = new SlidingSecond();
        let nowMs = 0;
        const timesMs = gapsMs.map((gapMs) => (nowMs += gapMs));
        for (const timeMs of timesMs) second.arrive(timeMs);
        expect(second.worst).toBe(worstWindow(timesMs));
      }),
    );
  });

  it('outgrows its first store without losing a call', () => {
    const second = new SlidingSecond();
    for (let call = 0; call < 500; call += 1) second.arrive(0);
    for (let call = 0; call < 5000; call += 1) second.arrive(1000 + call / 10);
    expect([second.worst, second.countAt(1999), second.countAt(2000), second.countAt(2500)]).toEqual([
      5000, 5000, 4999, 0,
    ]);
  });
});

describe('AccountQuotas', () => {
  it('lets the quota through in every sliding second, and counts what it refuses', () => {
    const quotas = new AccountQuotas(5);
    const admittedMs: number[] = [];
    for (let nowMs = 0; nowMs < 5000; nowMs += 100) if (quotas.admit('a', nowMs)) admittedMs.push(nowMs);
    expect(worstWindow(admittedMs)).toBe(5);
    expect(admittedMs).toHaveLength(25);
    expect(quotas.seen()).toEqual({ a: { calls: 50, worstSecond: 10, overQuota: 25 } });
  });

  it('keeps accounts apart', () => {
    const quotas = new AccountQuotas(1);
    expect([quotas.admit('a', 0), quotas.admit('b', 0), quotas.admit('a', 0)]).toEqual([true, true, false]);
  });
});

describe('EgressQuotas', () => {
  const limits = { accountQps: 500, egressQps: 2, blockMs: 5000 };

  it('blocks an address from the first call too many, for a time, and no other', () => {
    const quotas = new EgressQuotas(limits);
    expect([0, 1, 2, 1500, 5001].map((nowMs) => quotas.admit('a', nowMs))).toEqual([true, true, false, false, false]);
    expect(quotas.admit('b', 5001)).toBe(true);
    expect(quotas.seen(5001)).toMatchObject({ a: { blocks: 1, blocked: true }, b: { blocks: 0, blocked: false } });
    expect(quotas.admit('a', 5002)).toBe(true);
    expect(quotas.seen(5002)['a']).toEqual({ calls: 6, worstSecond: 3, overQuota: 1, blocks: 1, blocked: false });
  });
});

const wallMs = (): number => Date.now();

describe('the sandbox', () => {
  it('throttles an account over its quota', async () => {
    let nowMs = 0;
    const clock = { wallMs, monotonicMs: () => nowMs };
    const sandbox = await startTestSandbox({ limits: { accountQps: 2 }, clock });
    try {
      const ends = [];
      for (let call = 0; call < 3; call += 1) ends.push(await remove(sandbox, { ...CERTIFICATE, deviceSn: `${call}` }));
      expect(ends).toMatchObject([{ kind: 'resolved' }, { kind: 'resolved' }, { code: 'Throttling.User' }]);
      nowMs = 1000;
      expect(await remove(sandbox, { ...CERTIFICATE, deviceSn: '2' })).toMatchObject({ kind: 'resolved' });
      expect(sandbox.seen().accounts).toEqual({ testid: { calls: 4, worstSecond: 3, overQuota: 1 } });
    } finally {
      await sandbox.close();
    }
  });

  it('blocks an address over its quota, refusing or resetting, until the block ends', async () => {
    let nowMs = 0;
    const clock = { wallMs, monotonicMs: () => nowMs };
    const sandbox = await startTestSandbox({ limits: { egressQps: 3 }, clock });
    try {
      for (let call = 0; call < 3; call += 1) await remove(sandbox, CERTIFICATE);
      const refusals = new Set<unknown>();
      for (let call = 0; call < 64 && refusals.size < 2; call += 1) {
        const seen = await remove(sandbox, { ...CERTIFICATE, deviceSn: 'late' });
        refusals.add(seen.kind === 'resolved' ? seen.kind : seen.code);
      }
      expect(refusals).toEqual(new Set(['Forbidden.RiskControl', 'ECONNRESET']));
      expect(sandbox.seen().egress['127.0.0.1']).toMatchObject({ blocks: 1, blocked: true });
      nowMs = 60_000;
      expect(await remove(sandbox, { ...CERTIFICATE, deviceSn: 'late' })).toMatchObject({ kind: 'resolved' });
    } finally {
      await sandbox.close();
    }
  });

  it('told not to enforce, counts and lets through', async () => {
    const clock = { wallMs, monotonicMs: () => 0 };
    const limits = { accountQps: 1, egressQps: 1 };
    const sandbox = await startTestSandbox({ limits, enforce: false, clock });
    try {
      for (let call = 0; call < 4; call += 1) {
        expect(await remove(sandbox, { ...CERTIFICATE, deviceSn: `${call}` })).toMatchObject({ kind: 'resolved' });
      }
      const { accounts, egress, byCode } = sandbox.seen();
      expect(byCode).toEqual({ OK: 4 });
      expect(accounts['testid']).toEqual({ calls: 4, worstSecond: 4, overQuota: 3 });
      expect(egress['127.0.0.1']).toMatchObject({ calls: 4, worstSecond: 4, overQuota: 3, blocks: 1 });
    } finally {
      await sandbox.close();
    }
  });
});
