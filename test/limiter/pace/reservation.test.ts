import { describe, expect, it } from 'vitest';
import { readReply } from '../../../src/limiter/pace/pace-store.ts';
import { ServerClockWatch } from '../../../src/limiter/pace/server-clock-watch.ts';

describe('a reservation', () => {
  it('loses its round trip, and what that leaves no time for', () => {
    const momentsUs = [3_000, 19_000, 10_000, 35_000, 10_000, 14_500];
    const reply = [7, 1, 3_000, 1_800_000_000_000_000, momentsUs, [2, 3, 5], ['settled', 'go', 'go'], '1800000015000'];
    expect(readReply(reply as unknown as Parameters<typeof readReply>[0], 1_000, 1_004)).toEqual({
      signals: 7,
      halted: true,
      slots: [
        { call: 1, slot: { fromMs: 1_007, notAfterMs: 1_019 } },
        { call: 2, slot: { fromMs: 1_014, notAfterMs: 1_035 } },
        { call: 4, slot: undefined },
      ],
      verdicts: ['settled', 'go', 'go'],
      claimEndMs: 1_800_000_015_000,
      roundTripMs: 4,
      waitMs: 3,
    });
  });
});

describe("Redis' clock", () => {
  const DAY_MS = 86_400_000;

  // A second, the lateness and how far slots are given ahead.
  const HELD_MS = 1_000 + 200 + 25;

  it.each([
    ['that keeps time', 100, 4, false],
    ['that drifts, seen after seconds', 9_000, 13, false],
    ['that is seen after an outage', 60_000, 4, true],
    ['that went forward', 100, 30, true],
    ['that went back', 100, -5_000, false],
  ])('%s: begins again', (_name, afterMs, byMs, isBegun) => {
    const watch = new ServerClockWatch(25);
    expect(watch.restMs(0)).toBe(HELD_MS);
    watch.observe(DAY_MS + 1, 0, 2);
    expect(watch.restMs(2)).toBe(HELD_MS);
    watch.observe(DAY_MS + 1 + afterMs + byMs, afterMs, afterMs + 2);
    const leftMs = Math.max(0, HELD_MS - afterMs);
    expect(watch.restMs(afterMs + 2)).toBe(isBegun ? HELD_MS : leftMs);
  });

  it('cannot hide a step behind an answer that took long', () => {
    const watch = new ServerClockWatch(25);
    watch.observe(DAY_MS, 0, 1);
    watch.observe(DAY_MS + 400, 100, 500);
    expect(watch.restMs(1_500)).toBe(0);
    watch.observe(DAY_MS + 1_500 + 200, 1_500, 1_501);
    expect(watch.restMs(1_501)).toBe(HELD_MS);
  });
});
