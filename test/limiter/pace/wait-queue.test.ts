import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RANKS, WaitQueue, type Rank } from '../../../src/limiter/pace/wait-queue.ts';

interface Caller {
  readonly rank: Rank;
  /** When it came. */
  readonly at: number;
}

const step = fc.oneof(
  fc.record({ kind: fc.constant('push' as const), rank: fc.constantFrom(...RANKS) }),
  fc.record({
    kind: fc.constant('take' as const),
    most: fc.oneof(fc.integer({ min: 0, max: 6 }), fc.constant(Number.POSITIVE_INFINITY)),
    /** Which of those taken got nothing, and wait again. */
    isBack: fc.func(fc.boolean()),
  }),
  fc.record({ kind: fc.constant('send-away' as const), isStopped: fc.func(fc.boolean()) }),
);

/** The order of service: the probes, the urgent, the others; within each as they came. */
function inOrder(callers: readonly Caller[]): Caller[] {
  return callers.toSorted((a, b) => RANKS.indexOf(a.rank) - RANKS.indexOf(b.rank) || a.at - b.at);
}

describe('a wait queue', () => {
  it('loses nobody, serves nobody twice, and keeps its order whatever is taken, put back or sent away', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = new WaitQueue<Caller>();
        let model: Caller[] = [];
        // What came out of the queue, and what should have.
        const seen: [queue: readonly Caller[], model: readonly Caller[]][] = [];
        for (const [at, what] of steps.entries()) {
          switch (what.kind) {
            case 'push': {
              const caller = { rank: what.rank, at };
              queue.push(caller);
              model = inOrder([...model, caller]);
              break;
            }
            case 'take': {
              const taken = queue.take(what.most);
              seen.push([taken, model.slice(0, what.most)]);
              const back = taken.filter((caller) => what.isBack(caller.at));
              queue.putBack(back);
              model = inOrder([...model.slice(taken.length), ...back]);
              break;
            }
            case 'send-away': {
              const isSent = (caller: Caller): boolean => caller.rank !== 'probe' && what.isStopped(caller.at);
              seen.push([queue.takeIf((caller) => what.isStopped(caller.at)), model.filter(isSent)]);
              model = model.filter((caller) => !isSent(caller));
              break;
            }
          }
          expect(queue.size).toBe(model.length);
        }
        for (const [out, expected] of seen) expect(out).toEqual(expected);
        expect(queue.take(Number.POSITIVE_INFINITY)).toEqual(model);
        expect(queue.size).toBe(0);
      }),
    );
  });

  it('puts back ahead of those who came meanwhile', () => {
    const queue = new WaitQueue<Caller>();
    for (const at of [1, 2, 3]) queue.push({ rank: 'bulk', at });
    const taken = queue.take(2);
    queue.push({ rank: 'bulk', at: 4 });
    queue.push({ rank: 'urgent', at: 5 });
    queue.putBack(taken);
    expect(queue.take(9).map(({ at }) => at)).toEqual([5, 1, 2, 3, 4]);
  });

  it('never sends away one who is to probe', () => {
    const queue = new WaitQueue<Caller>();
    for (const [at, rank] of RANKS.entries()) queue.push({ rank, at });
    expect(queue.takeIf(() => true).map(({ rank }) => rank)).toEqual(['urgent', 'bulk']);
    expect(queue.take(9).map(({ rank }) => rank)).toEqual(['probe']);
  });
});
