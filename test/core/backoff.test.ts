import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs } from '../../src/core/backoff.ts';

const policy = fc.record({ baseMs: fc.integer({ min: 1, max: 10_000 }), capMs: fc.integer({ min: 1, max: 600_000 }) });
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

/** The bound by doubling, step by step. */
function ceilingMs(attempt: number, baseMs: number, capMs: number): number {
  let bound = baseMs;
  for (let step = 1; step < attempt && bound < capMs; step += 1) bound *= 2;
  return Math.min(bound, capMs);
}

describe('backoffMs', () => {
  it('is whole milliseconds in [0, ceiling), at any attempt', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e9 }), policy, random, (attempt, { baseMs, capMs }, chance) => {
        const delayMs = backoffMs(attempt, { baseMs, capMs }, chance);
        expect(Number.isInteger(delayMs)).toBe(true);
        expect(delayMs).toBeGreaterThanOrEqual(0);
        expect(delayMs).toBeLessThan(ceilingMs(attempt, baseMs, capMs));
      }),
    );
  });

  it('is spread over all of it: full jitter', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), policy, random, (attempt, { baseMs, capMs }, chance) => {
        const share = backoffMs(attempt, { baseMs, capMs }, chance) / ceilingMs(attempt, baseMs, capMs);
        expect(share).toBeLessThanOrEqual(chance);
        expect(share).toBeGreaterThan(chance - 1 / ceilingMs(attempt, baseMs, capMs) - 1e-9);
      }),
    );
  });

  it('doubles up to the cap', () => {
    const bounds = [0, 1, 2, 3, 4, 5, 100].map((attempt) => backoffMs(attempt, { baseMs: 100, capMs: 1000 }, 0.5));
    expect(bounds).toEqual([50, 50, 100, 200, 400, 500, 500]);
  });
});
