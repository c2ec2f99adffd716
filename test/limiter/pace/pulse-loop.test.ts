import Bottleneck from 'bottleneck';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { PULSE_MS } from '../../../src/core/pace.ts';
import { PulseLoop } from '../../../src/limiter/pace/pulse-loop.ts';
import { SlotCredit } from '../../../src/limiter/pace/slot-credit.ts';

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Pulses until there are so many; answers with when, by the wall clock that Bottleneck goes by. */
function pulses(count: number, onPulse: (at: number) => void = () => {}, pauseMs = 0): Promise<number[]> {
  return new Promise((resolve) => {
    const times: number[] = [];
    const loop = new PulseLoop(
      () => times.length < count,
      async () => {
        times.push(Date.now());
        onPulse(times.length);
        if (times.length === count) resolve(times);
        return pauseMs;
      },
    );
    loop.start();
    loop.start();
  });
}

describe('PulseLoop', () => {
  it('pulses as long as it is needed, at the pulse distance on average', async () => {
    const times = await pulses(12);
    // On a busy machine the first pulse is stamped late, by up to a pulse; the others keep the distance that Bottleneck gave them.
    expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(9.5 * PULSE_MS - 2);
  });

  it('makes up for timers that are late, so that their delays do not add up', async () => {
    vi.useFakeTimers();
    const { setTimeout: punctual } = globalThis;
    vi.spyOn(globalThis, 'setTimeout').mockImplementation((...[wake, ms = 0]) => punctual(wake, ms + 2));
    const times: number[] = [];
    const all = pulses(40, () => times.push(performance.now()), 1);
    while (times.length < 40) await vi.advanceTimersByTimeAsync(100);
    await all;
    // Bottleneck's own are late, too: once in eight pulses.
    expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeLessThanOrEqual(39 * PULSE_MS + 5 * 3);
  });

  it('keeps two pulses apart after one that was late, but for half a pulse', async () => {
    // In time that the test alone moves: on a busy machine timers are late as well.
    vi.useFakeTimers();
    const now = performance.now.bind(performance);
    let stalledMs = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => now() + stalledMs);
    const times: number[] = [];
    const all = pulses(40, (at) => {
      times.push(performance.now());
      if (at % 10 === 0) stalledMs += 2 * PULSE_MS;
    });
    while (times.length < 40) await vi.advanceTimersByTimeAsync(PULSE_MS);
    await all;
    for (const [at, time] of times.slice(2).entries()) {
      expect(time - (times[at] ?? 0)).toBeGreaterThanOrEqual(1.5 * PULSE_MS - 2);
    }
  });

  it('goes on when the wall clock is set back', async () => {
    const realNow = Date.now;
    // Several jobs of Bottleneck, each of which asks for the wall clock.
    const times = await pulses(20, (at) => {
      if (at === 3) vi.spyOn(Date, 'now').mockImplementation(() => realNow() - 3_600_000);
    });
    expect(times).toHaveLength(20);
  });

  it('asks Bottleneck once for eight pulses, also where it is needed for moments only', async () => {
    const asked = vi.spyOn(Bottleneck.prototype, 'schedule');
    let isNeeded = true;
    let count = 0;
    const startedMs = performance.now();
    await new Promise<void>((resolve) => {
      const loop = new PulseLoop(
        () => isNeeded,
        async () => {
          count += 1;
          isNeeded = count < 20 && count % 2 === 1;
          if (count < 20 && !isNeeded) setImmediate(() => ((isNeeded = true), loop.start()));
          if (count === 20) resolve();
          return 0;
        },
      );
      loop.start();
    });
    const tookMs = performance.now() - startedMs;
    expect(tookMs).toBeGreaterThanOrEqual(18.5 * PULSE_MS - 5);
    // On a busy machine the time of a run of pulses may end before its eight pulses.
    expect(asked.mock.calls.length).toBeLessThanOrEqual(Math.ceil(tookMs / (8 * PULSE_MS)) + 1);
  });

  // Unwoken it would take half a minute.
  it('ends its pauses when woken, and all when stopped', { timeout: 20_000 }, async () => {
    let count = 0;
    let wakes: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      const loop = new PulseLoop(
        () => true,
        async () => {
          count += 1;
          if (count === 30) {
            loop.stop();
            resolve();
          }
          return 1_000_000;
        },
      );
      wakes = setInterval(() => loop.wake(), 1);
      loop.start();
    });
    clearInterval(wakes);
    expect(count).toBe(30);
  });
});

describe('SlotCredit', () => {
  it('is never more than the pace and three pulses', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000 }),
        fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 200 }),
        (qps, gapsMs) => {
          const credit = new SlotCredit(qps);
          let nowMs = 0;
          let spent = 0;
          for (const gapMs of gapsMs) {
            nowMs += gapMs;
            const slots = credit.at(nowMs);
            credit.spend(slots);
            spent += slots;
          }
          expect(spent).toBeLessThanOrEqual((qps * nowMs) / 1000 + 3 * Math.ceil((qps * PULSE_MS) / 1000) + 0.001);
        },
      ),
    );
  });
});
