import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BATCH_STATES,
  breakerVerdict,
  COUNTED,
  DEFAULT_BREAKER,
  OUTCOMES,
  pendingOf,
  RAMP_STEPS,
  settledOf,
  transition,
  TRANSITIONS,
} from '../../src/core/batch.ts';
import type { BatchEvent, BatchState, Counts } from '../../src/core/batch.ts';

const EVENTS: readonly BatchEvent[] = ['activate', 'pause', 'resume', 'cancel', 'drain', 'reopen'];
const counts = (more: Partial<Counts>): Counts => {
  return { accepted: 1_000_000, revoked: 0, alreadyGone: 0, dead: 0, cancelled: 0, ...more };
};
/** So many settled items, so many of them dead. */
const settled = (all: number, dead: number): Counts => counts({ revoked: all - dead, dead });
const ALL = { kind: 'feed', upTo: Number.POSITIVE_INFINITY };

describe('transition', () => {
  const rows: Record<BatchState, readonly (BatchState | undefined)[]> = {
    planned: ['running', undefined, undefined, 'cancelled', undefined, undefined],
    running: [undefined, 'paused', undefined, 'cancelled', 'completed', 'running'],
    paused: [undefined, undefined, 'running', 'cancelled', 'completed', 'paused'],
    completed: [undefined, undefined, undefined, undefined, undefined, 'running'],
    cancelled: [undefined, undefined, undefined, undefined, undefined, undefined],
  };
  it.each(BATCH_STATES)('from %s', (state) => {
    expect(EVENTS.map((event) => transition(state, event))).toEqual(rows[state]);
  });

  it('knows every state, and none but these', () => {
    expect(Object.keys(TRANSITIONS)).toEqual([...BATCH_STATES]);
    const good = ['revoked', 'already-gone', 'inactivated', 'already-inactive', 'activated', 'already-active'];
    expect(OUTCOMES).toEqual([...good, 'kept-active', 'dead', 'cancelled']);
  });

  it('never leaves cancelled, never runs what was not activated, and stops for cancel until the end', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...EVENTS)), (events) => {
        let state: BatchState = 'planned';
        const past: BatchState[] = [];
        for (const event of events) {
          past.push(state);
          state = transition(state, event) ?? state;
        }
        expect(past.includes('cancelled') && state !== 'cancelled').toBe(false);
        expect(['planned', 'cancelled'].includes(state) || events.includes('activate')).toBe(true);
        expect(transition(state, 'cancel')).toBe(
          state === 'completed' || state === 'cancelled' ? undefined : 'cancelled',
        );
      }),
    );
  });
});

describe('counts', () => {
  it('add up: accepted is the sum of all ends and of what is pending, while items settle one by one', () => {
    const kinds = COUNTED.filter((field) => field !== 'accepted');
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...kinds)), fc.nat(100), (ends, left) => {
        const accepted = ends.length + left;
        const others = { inactivated: 0, alreadyInactive: 0, activated: 0, alreadyActive: 0, keptActive: 0 };
        const now = { accepted, revoked: 0, alreadyGone: 0, dead: 0, cancelled: 0, ...others };
        for (const [done, end] of ends.entries()) {
          expect([settledOf(now), pendingOf(now)]).toEqual([done, accepted - done]);
          now[end] += 1;
        }
        expect(kinds.reduce((sum, kind) => sum + now[kind], pendingOf(now))).toBe(accepted);
        expect(pendingOf(now)).toBe(left);
      }),
    );
  });

  it('show an invention as a negative number', () => {
    expect(pendingOf(counts({ accepted: 1, revoked: 2 }))).toBe(-1);
  });
});

describe('the breaker', () => {
  it.each([
    [0, 0, 0, { kind: 'feed', upTo: 10 }],
    [10, 9, 9, { kind: 'feed', upTo: 10 }],
    [10, 10, 0, { kind: 'feed', upTo: 100 }],
    [10, 10, 1, { kind: 'feed', upTo: 100 }],
    [10, 10, 2, { kind: 'pause', settled: 10, dead: 2 }],
    [18, 9, 9, { kind: 'feed', upTo: 10 }],
    [18, 18, 2, { kind: 'feed', upTo: 100 }],
    [100, 39, 4, { kind: 'feed', upTo: 100 }],
    [100, 99, 99, { kind: 'feed', upTo: 100 }],
    [100, 100, 5, ALL],
    [100, 100, 6, { kind: 'pause', settled: 100, dead: 6 }],
    [5000, 1000, 50, ALL],
    [5000, 1000, 51, { kind: 'pause', settled: 1000, dead: 51 }],
  ])('of a new batch with %i fed, %i settled, %i of them dead', (fed, all, dead, expected) => {
    expect(breakerVerdict(settled(all, dead), fed, false, DEFAULT_BREAKER)).toEqual(expected);
  });

  it.each([
    [0, 0, ALL],
    [99, 99, ALL],
    [100, 5, ALL],
    [100, 6, { kind: 'pause', settled: 100, dead: 6 }],
  ])('of a resumed batch with %i settled since, %i of them dead', (all, dead, expected) => {
    expect(breakerVerdict(settled(all, dead), all, true, DEFAULT_BREAKER)).toEqual(expected);
  });

  it('lets a small batch end: it does not wait for more items than there are', () => {
    expect(breakerVerdict(counts({ accepted: 3, revoked: 3 }), 3, false, DEFAULT_BREAKER)).toEqual(ALL);
    expect(breakerVerdict(counts({ accepted: 3, dead: 3 }), 3, false, DEFAULT_BREAKER)).toMatchObject({
      kind: 'pause',
    });
  });

  it('has the steps and the share that are documented', () => {
    expect([RAMP_STEPS, DEFAULT_BREAKER]).toEqual([[10, 100], { maxDeadShare: 0.05, minSample: 100 }]);
  });

  const policy = fc.record({
    maxDeadShare: fc.double({ min: 0, max: 1, noNaN: true }),
    minSample: fc.integer({ min: 1, max: 2000 }),
  });

  it('counts every end as settled, but only dead ones as bad', () => {
    fc.assert(
      fc.property(fc.nat(500), fc.nat(500), fc.nat(500), policy, (revoked, gone, cancelled, by) => {
        const all = revoked + gone + cancelled;
        const verdict = breakerVerdict(
          counts({ revoked, alreadyGone: gone, cancelled, accepted: 5000 }),
          all,
          false,
          by,
        );
        expect(verdict).toEqual({ kind: 'feed', upTo: all >= 100 ? Infinity : all >= 10 ? 100 : 10 });
      }),
    );
  });

  it('pauses above the share from the sample on, whatever was fed, and never for one dead item', () => {
    fc.assert(
      fc.property(fc.nat(3000), fc.nat(3000), fc.nat(9000), fc.boolean(), policy, (good, dead, more, resumed, by) => {
        const all = good + dead;
        // At the very share, a rounding may decide.
        fc.pre(Math.abs(dead - all * by.maxDeadShare) > 1e-6 && all >= by.minSample);
        const verdict = breakerVerdict(settled(all, dead), all + more, resumed, by);
        expect(verdict.kind).toBe(dead > 1 && dead > all * by.maxDeadShare ? 'pause' : 'feed');
      }),
    );
  });

  it('never stands still: when all that was fed has settled, more is fed or the batch pauses', () => {
    fc.assert(
      fc.property(fc.nat(3000), fc.nat(3000), fc.boolean(), policy, (good, dead, resumed, by) => {
        const verdict = breakerVerdict(settled(good + dead, dead), good + dead, resumed, by);
        expect(verdict.kind === 'pause' || verdict.upTo > good + dead).toBe(true);
      }),
    );
  });
});
