import { describe, expect, it } from 'vitest';
import { SlotAppetite } from '../../../src/limiter/pace/slot-credit.ts';

describe('a process that can use only so many slots', () => {
  it('asks for as many as it used, where others ended unused or their calls came too late', () => {
    for (const waste of ['ended', 'late'] as const) {
      const appetite = new SlotAppetite();
      expect(appetite.next()).toBe(Number.POSITIVE_INFINITY);
      if (waste === 'ended') {
        appetite.used(80);
        appetite.ended(20);
      } else {
        appetite.used(100);
        for (let n = 0; n < 20; n += 1) appetite.late();
      }
      expect({ waste, next: appetite.next() }).toEqual({ waste, next: 80 });
    }
  });

  it('asks for a quarter more with each pulse that wasted none', () => {
    const appetite = new SlotAppetite();
    appetite.used(80);
    appetite.ended(1);
    appetite.next();
    appetite.used(80);
    expect(appetite.next()).toBe(100);
    appetite.used(100);
    expect(appetite.next()).toBe(125);
  });

  it('always asks for what a pace of the cloud gives in three pulses', () => {
    const appetite = new SlotAppetite();
    // Late ones of the pulse before.
    for (let n = 0; n < 50; n += 1) appetite.late();
    expect(appetite.next()).toBe(36);
  });
});
