import { describe, expect, it } from 'vitest';
import { ConcurrencyTarget, MAX_CONCURRENCY } from '../../../src/queue/worker/concurrency.ts';

/** After so many answers, one of each `every` of them slow. */
function seen(qps: number, usualMs: number, slowMs: number, every: number): ConcurrencyTarget {
  const target = new ConcurrencyTarget(qps);
  for (let answer = 1; answer <= 20_000; answer += 1) target.observe(answer % every === 0 ? slowMs : usualMs);
  return target;
}

describe('the blocks that a process has in hand', () => {
  it('are one more than its items need where all answers are quick', () => {
    const target = seen(480, 20, 20, 2);
    expect(target.blocks).toBe(Math.ceil(target.items / 50) + 1);
  });

  it('are those of the time that one answer in twenty takes, too', () => {
    const target = seen(480, 40, 1_000, 20);
    // 480 calls a second begin 9.6 blocks of 50, and each is in hand for a second longer.
    const drained = target.blocks - Math.ceil(target.items / 50);
    expect(drained).toBeGreaterThanOrEqual(8);
    expect(drained).toBeLessThanOrEqual(12);
  });

  it('do not follow an answer in a thousand', () => {
    const target = seen(480, 20, 10_000, 1_000);
    expect(target.blocks).toBeLessThanOrEqual(Math.ceil(target.items / 50) + 2);
  });

  it('are bounded however slow the answers are', () => {
    const target = seen(2_000, 60_000, 60_000, 2);
    expect(target.items).toBe(MAX_CONCURRENCY);
    expect(target.blocks).toBeLessThanOrEqual((2 * MAX_CONCURRENCY) / 50);
  });
});
