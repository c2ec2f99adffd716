import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SHORTEST_SLOT_MS, type Slot } from '../../../src/limiter/pace/pace-store.ts';
import { SlotBuffer, type Placed } from '../../../src/limiter/pace/slot-buffer.ts';

const GATHERED_MS = 20;
const SPARE_MS = 10;
/** Timers count in whole milliseconds, rounded up. */
const TIMER_MS = 1;

interface Left {
  readonly slot: Slot;
  /** When it was in hand, and when its caller left. */
  readonly putMs: number;
  readonly atMs: number;
}

/** Lets callers go as the limiter does, on a clock that the test moves, and notes when. */
class Bench {
  nowMs = 0;
  wakes = 0;
  readonly left: Left[] = [];
  readonly void: Slot[] = [];
  readonly inHand = new SlotBuffer<number>(() => {
    this.wakes += 1;
    this.serve();
  });

  put(slots: readonly Slot[]): void {
    this.inHand.put(slots.map((slot): Placed<number> => ({ caller: this.nowMs, slot })));
    this.serve();
  }

  serve(): void {
    this.void.push(...this.inHand.takeVoid(this.nowMs).map(({ slot }) => slot));
    const due = this.inHand.takeDue(this.nowMs);
    this.left.push(...due.map(({ slot, caller }) => ({ slot, putMs: caller, atMs: this.nowMs })));
    this.inHand.arm(this.nowMs);
  }

  /** Timers run as time passes. */
  pass(ms: number): void {
    for (let step = 0; step < ms; step += 1) {
      this.nowMs += 1;
      vi.advanceTimersByTime(1);
    }
  }

  /** The process stands still: time passes, and its timers run after it. */
  stall(ms: number): void {
    this.nowMs += ms;
    vi.advanceTimersByTime(ms);
  }
}

const lived = (fromMs: number, lifeMs = 25): Slot => ({ fromMs, notAfterMs: fromMs + lifeMs });

/** Answers of Redis, each with slots from then on; one of two clocks may live for half of the lateness, less the round trip. */
const answers = fc.array(
  fc.record({
    pauseMs: fc.integer({ min: 0, max: 60 }),
    stallMs: fc.integer({ min: 0, max: 60 }),
    slots: fc.array(
      fc.record({ aheadMs: fc.integer({ min: 0, max: 250 }), lifeMs: fc.integer({ min: 10, max: 250 }) }),
      { maxLength: 12 },
    ),
  }),
  { minLength: 1, maxLength: 12 },
);
type Answers = typeof answers extends fc.Arbitrary<infer Drawn> ? Drawn : never;

function play(drawn: Answers, hasStalls: boolean): { bench: Bench; put: number } {
  const bench = new Bench();
  let put = 0;
  for (const { pauseMs, stallMs, slots } of drawn) {
    bench.put(slots.map(({ aheadMs, lifeMs }) => lived(bench.nowMs + aheadMs / 10, lifeMs / 10)));
    put += slots.length;
    bench.pass(pauseMs);
    if (hasStalls) bench.stall(stallMs);
  }
  bench.pass(60);
  return { bench, put };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('the slots in hand', () => {
  it('are used once, not before their moment, and with time enough; the others are void', () => {
    fc.assert(
      fc.property(answers, (drawn) => {
        const { bench, put } = play(drawn, true);
        for (const { slot, atMs } of bench.left) {
          expect(atMs).toBeGreaterThanOrEqual(slot.fromMs);
          expect(slot.notAfterMs - atMs).toBeGreaterThanOrEqual(SHORTEST_SLOT_MS);
        }
        const ended = [...bench.left.map(({ slot }) => slot), ...bench.void];
        expect([ended.length, new Set(ended).size, bench.inHand.size]).toEqual([put, put, 0]);
      }),
    );
  });

  it('gather for 20 ms at most, leave 10 ms where they have as much, and are all used where nothing stalls', () => {
    fc.assert(
      fc.property(answers, (drawn) => {
        const { bench } = play(drawn, false);
        for (const { slot, putMs, atMs } of bench.left) {
          const dueMs = Math.max(slot.fromMs, putMs);
          expect(atMs - dueMs).toBeLessThanOrEqual(GATHERED_MS + TIMER_MS);
          // One that came with less goes at its moment.
          const spareMs = Math.min(SPARE_MS, slot.notAfterMs - dueMs);
          expect(slot.notAfterMs - atMs).toBeGreaterThanOrEqual(spareMs - 2 * TIMER_MS);
        }
        // What a timer's rounding makes too short.
        for (const slot of bench.void)
          expect(slot.notAfterMs - slot.fromMs).toBeLessThan(SHORTEST_SLOT_MS + 2 * TIMER_MS);
      }),
    );
  });

  it('leave together, in one wake-up, when all of them are due', () => {
    const bench = new Bench();
    bench.put([lived(3), lived(8), lived(13)]);
    bench.pass(12);
    expect([bench.wakes, bench.left.length]).toEqual([0, 0]);
    bench.pass(1);
    expect(bench.wakes).toBe(1);
    expect(bench.left.map(({ slot }) => slot.fromMs)).toEqual([3, 8, 13]);
  });

  it('leave before a later one is due, where the first has to', () => {
    const bench = new Bench();
    bench.put([lived(0.5, 60), lived(15, 60), lived(40, 60)]);
    bench.pass(20);
    expect(bench.left).toEqual([]);
    bench.pass(1);
    // 20 ms after the first was due.
    expect(bench.left.map(({ slot, atMs }) => [slot.fromMs, atMs])).toEqual([
      [0.5, 21],
      [15, 21],
    ]);
    bench.pass(19);
    expect(bench.left.at(-1)).toMatchObject({ slot: { fromMs: 40 }, atMs: 40 });
  });

  it('of two clocks live shorter, and take the others with them earlier', () => {
    const bench = new Bench();
    bench.put([lived(1), lived(2, 12), lived(9), lived(24)]);
    bench.pass(3);
    expect(bench.left).toEqual([]);
    bench.pass(1);
    // 10 ms before the second ends.
    expect(bench.left.map(({ slot, atMs }) => [slot.fromMs, atMs])).toEqual([
      [1, 4],
      [2, 4],
    ]);
    bench.pass(20);
    expect(bench.left.map(({ slot }) => slot.fromMs)).toEqual([1, 2, 9, 24]);
  });

  it('wake up for one that comes later and must leave sooner', () => {
    const bench = new Bench();
    bench.put([lived(30)]);
    bench.put([lived(5, 10)]);
    bench.pass(9);
    expect(bench.left).toMatchObject([{ slot: { fromMs: 5 } }]);
    bench.pass(21);
    expect(bench.left).toHaveLength(2);
  });

  it('are void after a stall past their end, and the rest is used', () => {
    const bench = new Bench();
    bench.put([lived(1), lived(2), lived(40)]);
    bench.stall(45);
    expect(bench.void.map(({ fromMs }) => fromMs)).toEqual([1, 2]);
    expect(bench.left).toMatchObject([{ slot: { fromMs: 40 } }]);
  });

  it('are not due with too little left, also before they are seen to be void', () => {
    const bench = new Bench();
    bench.inHand.put([{ caller: 0, slot: lived(0, 10) }]);
    expect(bench.inHand.takeDue(10.5 - SHORTEST_SLOT_MS)).toEqual([]);
    expect(bench.inHand.takeDue(10 - SHORTEST_SLOT_MS)).toHaveLength(1);
  });

  it('are given up by caller, or all at once, and wake nobody then', () => {
    const bench = new Bench();
    bench.inHand.put([1, 2, 3].map((caller) => ({ caller, slot: lived(10 + caller) })));
    bench.inHand.arm(0);
    expect(bench.inHand.takeIf((caller) => caller === 2)).toMatchObject([{ caller: 2 }]);
    expect(bench.inHand.clear().map(({ caller }) => caller)).toEqual([1, 3]);
    bench.pass(60);
    expect([bench.wakes, bench.inHand.size]).toEqual([0, 0]);
  });
});
