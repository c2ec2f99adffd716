import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  IN_HAND_MS,
  CLOUD_ACCOUNT_QPS,
  CLOUD_EGRESS_QPS,
  DEFAULT_ACCOUNT_QPS,
  DEFAULT_EGRESS_QPS,
  DEFAULT_LATE_MS,
  etaSeconds,
  HORIZON_MS,
  PULSE_MS,
  slotsPerPulse,
  spacingMs,
  worstWindow,
} from '../../src/core/pace.ts';

/** Every window that begins with an event, counted one by one. */
function bruteWorst(timesMs: readonly number[], windowMs: number): number {
  const inWindow = timesMs.map((from) => timesMs.filter((time) => time >= from && time < from + windowMs).length);
  return Math.max(0, ...inWindow);
}

const qps = fc.integer({ min: 1, max: 500 });

describe('worstWindow', () => {
  it('is what counting every window finds, in any order', () => {
    const times = fc.array(fc.integer({ min: -3000, max: 5000 }), { maxLength: 120 });
    fc.assert(
      fc.property(times, fc.integer({ min: 1, max: 3000 }), (timesMs, windowMs) => {
        const given = [...timesMs];
        expect(worstWindow(timesMs, windowMs)).toBe(bruteWorst(timesMs, windowMs));
        expect(worstWindow(timesMs)).toBe(bruteWorst(timesMs, 1000));
        expect(timesMs).toEqual(given);
      }),
    );
  });

  it('holds its beginning, not its end', () => {
    expect([worstWindow([]), worstWindow([0, 1000]), worstWindow([0, 999.5]), worstWindow([5, 5, 5])]).toEqual([
      0, 1, 2, 3,
    ]);
  });
});

describe('spacingMs', () => {
  it('keeps any second within the pace, however late within lateMs each call leaves', () => {
    const lateness = fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(qps, fc.integer({ min: 0, max: 200 }), lateness, (pace, lateMs, late) => {
        const spacing = spacingMs(pace, lateMs);
        const sentMs = Array.from(
          { length: 3 * pace },
          (_, slot) => slot * spacing + (late[slot % late.length] ?? 0) * lateMs,
        );
        // A nanosecond less than the second: what sums of fractions may be off by, a clock does not resolve.
        expect(worstWindow(sentMs, 1000 - 1e-6)).toBeLessThanOrEqual(pace);
      }),
    );
  });

  it('does not waste the pace: on time, at least its share of 1000 in 1000 + lateMs', () => {
    fc.assert(
      fc.property(qps, fc.integer({ min: 0, max: 200 }), (pace, lateMs) => {
        const slots = Math.floor(100_000 / spacingMs(pace, lateMs));
        expect(slots).toBeGreaterThanOrEqual(Math.floor((100 * pace * 1000) / (1000 + lateMs)) - 1);
      }),
    );
  });

  it('of the defaults', () => {
    expect([spacingMs(480, 25), spacingMs(1000, 0)]).toEqual([1025 / 480, 1]);
  });
});

describe('slotsPerPulse', () => {
  it('is what the pace allows between two pulses, rounded up, and at least one', () => {
    expect([1, 40, 41, 280, 480, 490].map((pace) => slotsPerPulse(pace))).toEqual([1, 1, 2, 7, 12, 13]);
    fc.assert(
      fc.property(qps, (pace) => {
        const pulses = 1000 / PULSE_MS;
        expect(slotsPerPulse(pace) * pulses).toBeGreaterThanOrEqual(pace);
        expect((slotsPerPulse(pace) - 1) * pulses).toBeLessThan(pace);
      }),
    );
  });
});

describe('the defaults', () => {
  it('stay below the limits of the cloud, and the slots given ahead and made up for reach past the next pulse', () => {
    expect([CLOUD_ACCOUNT_QPS, CLOUD_EGRESS_QPS]).toEqual([500, 300]);
    expect(DEFAULT_ACCOUNT_QPS).toBeLessThan(CLOUD_ACCOUNT_QPS);
    expect(DEFAULT_EGRESS_QPS).toBeLessThan(CLOUD_EGRESS_QPS);
    expect(IN_HAND_MS).toBeGreaterThanOrEqual(PULSE_MS);
    // A clock makes up for what a late pulse lost, by half of the lateness.
    expect(IN_HAND_MS + DEFAULT_LATE_MS / 2).toBeGreaterThanOrEqual(1.5 * PULSE_MS);
    // What a killed process leaves noted without a call: more only where Redis answers late, and never more than the fence counts with.
    expect(IN_HAND_MS).toBeLessThanOrEqual(25);
    expect(IN_HAND_MS).toBeLessThan(HORIZON_MS);
    expect(1000 / (1000 + DEFAULT_LATE_MS)).toBeGreaterThan(0.97);
  });
});

describe('etaSeconds', () => {
  it.each([
    [0, 0, 0],
    [-1, 10, 0],
    [10, 0, undefined],
    [10, -1, undefined],
    [10, Number.NaN, undefined],
    [1, 480, 1],
    [960, 480, 2],
    [961, 480, 3],
  ])('of %d pending at %d a second', (pending, rate, eta) => expect(etaSeconds(pending, rate)).toBe(eta));

  it('is the first whole second by which all are settled', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e7 }), fc.integer({ min: 1, max: 500 }), (pending, rate) => {
        const eta = etaSeconds(pending, rate) ?? Number.NaN;
        expect(eta * rate).toBeGreaterThanOrEqual(pending);
        expect((eta - 1) * rate).toBeLessThan(pending);
      }),
    );
  });
});
