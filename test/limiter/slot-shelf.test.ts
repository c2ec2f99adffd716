import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Slot } from '../../src/limiter/pace-store.ts';
import { SlotShelf } from '../../src/limiter/slot-shelf.ts';

const slot = fc
  .record({ fromMs: fc.integer({ min: 0, max: 500 }), lengthMs: fc.integer({ min: 2, max: 40 }) })
  .map(({ fromMs, lengthMs }): Slot => ({ fromMs, notAfterMs: fromMs + lengthMs }));
const batches = fc.array(
  fc.record({ slots: fc.array(slot, { maxLength: 8 }), pauseMs: fc.integer({ min: 0, max: 90 }) }),
);

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
