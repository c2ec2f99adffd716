import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Slot } from '../../src/limiter/pace-store.ts';
import { NEAR_MS, SlotShelf } from '../../src/limiter/slot-shelf.ts';

const slot = fc
  .record({ fromMs: fc.integer({ min: 0, max: 500 }), lengthMs: fc.integer({ min: 2, max: 40 }) })
  .map(({ fromMs, lengthMs }): Slot => ({ fromMs, notAfterMs: fromMs + lengthMs }));
const batches = fc.array(
  fc.record({ slots: fc.array(slot, { maxLength: 8 }), pauseMs: fc.integer({ min: 0, max: 90 }) }),
);

afterEach(() => vi.useRealTimers());

describe('SlotShelf', () => {
  it('gives each slot at most once and only between its moment and its end; the others are void', () => {
    fc.assert(
      fc.property(batches, (steps) => {
        const shelf = new SlotShelf(() => {});
        const misplaced: Slot[] = [];
        let put = 0;
        let gone = 0;
        let nowMs = 0;
        for (const { slots, pauseMs } of steps) {
          shelf.put(slots.toSorted((a, b) => a.fromMs - b.fromMs));
          put += slots.length;
          nowMs += pauseMs;
          gone += shelf.dropVoid(nowMs);
          for (let due = shelf.takeDue(nowMs); due !== undefined; due = shelf.takeDue(nowMs)) {
            gone += 1;
            if (nowMs < due.fromMs || nowMs >= due.notAfterMs) misplaced.push(due);
            gone += shelf.dropVoid(nowMs);
          }
        }
        expect(misplaced).toEqual([]);
        expect(gone + shelf.size).toBe(put);
      }),
    );
  });

  it('calls when the earliest slot is due, though a later one was there before', async () => {
    const startMs = performance.now();
    const due = await new Promise<Slot | undefined>((resolve) => {
      const shelf = new SlotShelf(() => resolve(shelf.takeDue(performance.now() + 1)));
      shelf.put([{ fromMs: startMs + 60_000, notAfterMs: startMs + 60_025 }]);
      shelf.arm(startMs);
      shelf.put([{ fromMs: startMs + 10, notAfterMs: startMs + 35 }]);
      shelf.arm(startMs);
    });
    expect(due?.fromMs).toBe(startMs + 10);
  });

  it('calls when the next slot is near, and again when it is due', () => {
    vi.useFakeTimers();
    let calls = 0;
    const shelf = new SlotShelf(() => (calls += 1));
    shelf.put([
      { fromMs: 60, notAfterMs: 85 },
      { fromMs: 62, notAfterMs: 87 },
      { fromMs: 90, notAfterMs: 115 },
    ]);
    shelf.arm(0);
    vi.advanceTimersByTime(60 - NEAR_MS - 1);
    expect(calls).toBe(0);
    vi.advanceTimersByTime(1);
    expect([calls, shelf.near(60 - NEAR_MS), shelf.near(60)]).toEqual([1, 1, 2]);
    expect(shelf.takeDue(60 - NEAR_MS)).toBeUndefined();
    shelf.arm(60 - NEAR_MS);
    vi.advanceTimersByTime(NEAR_MS - 1);
    expect(calls).toBe(1);
    vi.advanceTimersByTime(1);
    expect(calls).toBe(2);
    expect(shelf.takeDue(60)?.fromMs).toBe(60);
  });

  it('forgets all it has when told', () => {
    const shelf = new SlotShelf(() => {});
    shelf.put([
      { fromMs: 1, notAfterMs: 26 },
      { fromMs: 2, notAfterMs: 27 },
    ]);
    expect(shelf.clear()).toBe(2);
    expect(shelf.takeDue(10)).toBeUndefined();
  });
});
