import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Walk, WALK_START, type WalkState, type WindowRows } from '../../src/core/walk.ts';
import { endOf, FIRST_WINDOW, windowAfter, type Window } from '../../src/core/window.ts';
import { seededRandom, type Random } from '../../src/sandbox/seeded.ts';

/** A listing in which certificates come and go; its order is that of their relative places, which never change. */
class Cloud {
  readonly random: Random;
  readonly #newAt: 'end' | 'begin' | 'anywhere';
  listing: number[];
  #next: number;

  constructor(size: number, newAt: 'end' | 'begin' | 'anywhere', random: Random) {
    this.random = random;
    this.#next = size;
    this.#newAt = newAt;
    this.listing = Array.from({ length: size }, (_, at) => at);
  }

  /** Up to so many certificates come or go. */
  change(most: number, deletes: number): void {
    for (let left = Math.floor(this.random() * (most + 1)); left > 0; left -= 1) {
      const { listing } = this;
      if (this.random() < deletes && listing.length > 0) {
        listing.splice(Math.floor(this.random() * listing.length), 1);
        continue;
      }
      const { length } = listing;
      const at = { end: length, begin: 0, anywhere: Math.floor(this.random() * (length + 1)) }[this.#newAt];
      // A number that nobody had before: one that comes back did not stay.
      listing.splice(at, 0, this.#next);
      this.#next += 1;
    }
  }

  read({ start, pageSize }: Window): WindowRows {
    const keys = this.listing.slice(start, start + pageSize).map(String);
    return { keys, rows: keys.length, expected: this.listing.length };
  }
}

/** Walks with so many windows under way, which are answered in any order. */
function walk(
  read: (window: Window) => WindowRows,
  { atOnce, random, from = WALK_START, stopAfter = Number.POSITIVE_INFINITY }: Options,
): { state: WalkState; seen: Set<string>; isDone: boolean } {
  const walking = new Walk(from);
  const seen = new Set<string>();
  const underWay: [Window, WindowRows][] = [];
  for (let calls = 0; !walking.isDone && calls < stopAfter; calls += 1) {
    while (underWay.length < atOnce) {
      const window = walking.take();
      if (window === undefined) break;
      // It is read when it is asked for, and heard in any order.
      underWay.push([window, read(window)]);
    }
    const [answer] = underWay.splice(Math.floor(random() * underWay.length), 1);
    if (answer === undefined) throw new Error('it waits for nothing');
    walking.heard(...answer);
    for (let page = walking.next(); page !== undefined; page = walking.next())
      for (const key of page.keys) seen.add(key);
  }
  return { state: walking.state, seen, isDone: walking.isDone };
}

interface Options {
  readonly atOnce: number;
  readonly random: Random;
  readonly from?: WalkState;
  readonly stopAfter?: number;
}

const places = fc.constantFrom('end', 'begin', 'anywhere');
const scenario = fc.record({
  size: fc.integer({ min: 0, max: 6_000 }),
  newAt: places,
  most: fc.integer({ min: 0, max: 3 }),
  deletes: fc.constantFrom(0, 0.5, 0.9, 1),
  atOnce: fc.integer({ min: 1, max: 300 }),
  seed: fc.nat(1_000_000),
});

describe('a walk over a listing whose order never changes', () => {
  it('misses nothing that stayed, whatever comes and goes meanwhile, and is stable', () => {
    fc.assert(
      fc.property(scenario, ({ size, newAt, most, deletes, atOnce, seed }) => {
        const cloud = new Cloud(size, newAt, seededRandom(seed));
        const before = [...cloud.listing];
        const { seen, state, isDone } = walk(
          (window) => {
            cloud.change(most, deletes);
            return cloud.read(window);
          },
          { atOnce, random: cloud.random },
        );
        const after = new Set(cloud.listing);
        expect(before.filter((id) => after.has(id) && !seen.has(String(id)))).toEqual([]);
        expect({ isDone, isMoved: state.isMoved }).toEqual({ isDone: true, isMoved: false });
      }),
      { numRuns: 300 },
    );
  });

  it('misses nothing either where it continues from a saved state after a long time', () => {
    fc.assert(
      fc.property(scenario, fc.nat(60), fc.nat(900), ({ size, newAt, most, deletes, atOnce, seed }, stopAfter, gap) => {
        const cloud = new Cloud(size, newAt, seededRandom(seed));
        const before = [...cloud.listing];
        const read = (window: Window): WindowRows => {
          cloud.change(most, deletes);
          return cloud.read(window);
        };
        const first = walk(read, { atOnce, random: cloud.random, stopAfter });
        for (let n = 0; n < gap; n += 1) cloud.change(1, deletes);
        const second = first.isDone ? first : walk(read, { atOnce, random: cloud.random, from: first.state });
        const seen = new Set([...first.seen, ...second.seen]);
        const after = new Set(cloud.listing);
        if (second.state.isMoved) return;
        expect(before.filter((id) => after.has(id) && !seen.has(String(id)))).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });

  it('sees 0 too few in 20,000 with three changes a call, one call at a time', () => {
    for (const newAt of ['end', 'begin', 'anywhere'] as const) {
      const cloud = new Cloud(20_000, newAt, seededRandom(7));
      const before = [...cloud.listing];
      const { seen, state } = walk(
        (window) => {
          cloud.change(3, 0.7);
          return cloud.read(window);
        },
        { atOnce: 1, random: cloud.random },
      );
      const after = new Set(cloud.listing);
      expect(before.filter((id) => after.has(id) && !seen.has(String(id)))).toEqual([]);
      expect(state.isMoved).toBe(false);
    }
  });
});

it('a walk steps back where more is deleted than the overlap holds', () => {
  const cloud = new Cloud(2_000, 'end', seededRandom(1));
  let calls = 0;
  const { seen, state } = walk(
    (window) => {
      calls += 1;
      // Three hundred of those that were seen go at once.
      if (calls === 8) cloud.listing.splice(10, 300);
      return cloud.read(window);
    },
    { atOnce: 1, random: cloud.random },
  );
  expect(cloud.listing.filter((id) => !seen.has(String(id)))).toEqual([]);
  expect(state.stepsBack).toBeGreaterThan(0);
  expect(state.isMoved).toBe(false);
});

it.each([101, 150, 1_000, 5_000])('an order that changes with each call ends moved, %i certificates', (size) => {
  for (const atOnce of [1, 20]) {
    const random = seededRandom(3);
    const { state, isDone } = walk(
      ({ start, pageSize }) => {
        const listing = Array.from({ length: size }, (_, at) => at)
          .map((id) => [random(), id] as const)
          .toSorted(([a], [b]) => a - b);
        const keys = listing.slice(start, start + pageSize).map(([, id]) => String(id));
        return { keys, rows: keys.length, expected: size };
      },
      { atOnce, random },
    );
    expect({ isDone, isMoved: state.isMoved }).toEqual({ isDone: true, isMoved: true });
  }
});

it.each([
  ['names nothing that can be called for', () => []],
  ['has the same page for each number', () => Array.from({ length: 100 }, (_, at) => String(at))],
  ['has other certificates with each call', (calls: number) => [`${calls}`]],
])('a listing that %s ends moved', (_, keysOf) => {
  for (const atOnce of [1, 20]) {
    let calls = 0;
    const { state, isDone } = walk(
      ({ start, pageSize }) => {
        calls += 1;
        // The first kinds are never at an end by themselves.
        const rows = keysOf(calls).length === 100 || start < 1_000 ? pageSize : 0;
        return { keys: keysOf(calls).slice(0, rows), rows, expected: 1_000 };
      },
      { atOnce, random: seededRandom(3), stopAfter: 2_000 },
    );
    expect({ isDone, isMoved: state.isMoved }).toEqual({ isDone: true, isMoved: true });
    expect(calls).toBeLessThan(200);
  }
});

it('a listing that has no pages from some place on, though it continues, is walked to an end, as moved', () => {
  const sizes = fc.record({
    // Full pages before it: one that is not full is the end.
    given: fc.integer({ min: 1, max: 30 }).map((pages) => pages * 100),
    atOnce: fc.constantFrom(1, 5, 50),
    seed: fc.nat(1_000),
  });
  fc.assert(
    fc.property(sizes, ({ given, atOnce, seed }) => {
      const cloud = new Cloud(given + 500, 'end', seededRandom(seed));
      const read = (window: Window): WindowRows => {
        const page = cloud.read(window);
        return endOf(window) <= given ? page : { ...page, keys: [], rows: 0 };
      };
      const { state, isDone } = walk(read, { atOnce, random: cloud.random, stopAfter: 1_000 });
      expect({ isDone, isMoved: state.isMoved }).toEqual({ isDone: true, isMoved: true });
    }),
  );
});

describe('the windows', () => {
  it('begin inside the one before, and are pages that the API gives', () => {
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 20_000_000 }), (end) => {
        const window = windowAfter(end);
        expect(window.start).toBeLessThan(end - 3);
        expect(window.start).toBeGreaterThan(end - 100);
        expect(window.start).toBe((window.pageNo - 1) * window.pageSize);
        expect(window.pageSize).toBeGreaterThanOrEqual(50);
        expect(window.pageSize).toBeLessThanOrEqual(100);
        expect(endOf(window)).toBeGreaterThan(end);
      }),
    );
  });

  it('are at most 12,500 for a million', () => {
    let calls = 1;
    for (let end = endOf(FIRST_WINDOW); end < 1_000_000; end = endOf(windowAfter(end))) calls += 1;
    expect(calls).toBeLessThanOrEqual(12_400);
  });
});
