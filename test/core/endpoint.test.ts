import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Answer } from '../../src/core/answer.ts';
import { CODE_TABLE } from '../../src/core/code-table.ts';
import {
  bearingOf,
  FAILING_MS,
  FAILURES_TO_HALT,
  hearEndpoint,
  NO_HALT_AFTER_LIFT_MS,
  ONLY_FAILING_MS,
  UNTRIED,
  type Bearing,
  type EndpointView,
} from '../../src/core/endpoint.ts';

const refusal = (code: string): Answer => ({ kind: 'refused', status: 400, code, message: '', requestId: '' });

describe('bearingOf', () => {
  it('is a judgement where a call was accepted or refused for a reason, and a failure where nobody judged it', () => {
    const judgements = new Set(['item', 'not-found', 'instance', 'credential', 'token', 'risk-control', 'clock']);
    for (const { code, blame } of CODE_TABLE) {
      const expected = judgements.has(blame) || blame === 'our-request' ? 'judgement' : 'failure';
      expect([code, bearingOf(refusal(code))]).toEqual([code, blame === 'rate' ? 'neither' : expected]);
    }
    expect(bearingOf({ kind: 'accepted', requestId: '' })).toBe('judgement');
    for (const answer of [refusal('NeverHeardOf'), refusal('500')]) expect(bearingOf(answer)).toBe('failure');
    expect(bearingOf({ kind: 'garbled', message: '' })).toBe('failure');
    expect(bearingOf({ kind: 'network', code: 'ECONNREFUSED', message: '', effect: 'none' })).toBe('failure');
    // Ended by this process, or never begun: that tells nothing of the endpoint.
    expect(bearingOf({ kind: 'network', code: 'closed', message: '', effect: 'unknown' })).toBe('neither');
    for (const reason of ['slot-void', 'no-credentials'] as const) {
      expect(bearingOf({ kind: 'not-sent', reason, message: '' })).toBe('neither');
    }
  });
});

interface Heard {
  readonly bearing: Bearing;
  readonly atMs: number;
}

const bearings = fc.constantFrom<Bearing>('failure', 'failure', 'failure', 'failure', 'neither', 'judgement');
/** Answers with times between them from a burst to a quiet minute. */
const heards = fc
  .array(fc.tuple(bearings, fc.oneof(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 0, max: 70_000 }))), {
    maxLength: 150,
  })
  .map((steps) => {
    let atMs = 1_000;
    return steps.map(([bearing, afterMs]): Heard => ({ bearing, atMs: (atMs += afterMs) }));
  });

function* viewsOf(
  all: readonly Heard[],
): Generator<{ heard: readonly Heard[]; view: EndpointView; before: EndpointView }> {
  let view = UNTRIED;
  for (const [at, { bearing, atMs }] of all.entries()) {
    const before = view;
    view = hearEndpoint(view, bearing, atMs);
    yield { heard: all.slice(0, at + 1), view, before };
  }
}

describe('hearEndpoint', () => {
  it('halts exactly when the failures since the last judgement are an outage, and not soon after a lift', () => {
    fc.assert(
      fc.property(heards, (all) => {
        let liftedMs = Number.NEGATIVE_INFINITY;
        for (const { heard, view, before } of viewsOf(all)) {
          const nowMs = heard.at(-1)?.atMs ?? 0;
          const last = heard.findLastIndex(({ bearing }) => bearing === 'judgement');
          const failures = heard.slice(last + 1).filter(({ bearing }) => bearing === 'failure');
          const failingMs = nowMs - (failures[0]?.atMs ?? nowMs);
          const isOutage =
            failingMs >= ONLY_FAILING_MS || (failingMs >= FAILING_MS && failures.length >= FAILURES_TO_HALT);
          const isHalting = before.haltedAtMs === undefined && view.haltedAtMs !== undefined;
          const isFailure = heard.at(-1)?.bearing === 'failure';
          if (before.haltedAtMs === undefined) {
            expect(isHalting).toBe(isFailure && isOutage && nowMs - liftedMs >= NO_HALT_AFTER_LIFT_MS);
          }
          if (before.haltedAtMs !== undefined && view.haltedAtMs === undefined) liftedMs = nowMs;
        }
      }),
    );
  });

  it('is lifted by a judgement, and by nothing else', () => {
    fc.assert(
      fc.property(heards, (all) => {
        for (const { heard, view, before } of viewsOf(all)) {
          if (before.haltedAtMs === undefined) continue;
          const isJudged = heard.at(-1)?.bearing === 'judgement';
          expect(view.haltedAtMs).toBe(isJudged ? undefined : before.haltedAtMs);
        }
      }),
    );
  });

  it('is halted all through an outage of ten minutes, whatever the pace of the calls', () => {
    fc.assert(
      fc.property(fc.integer({ min: 300, max: 10_000 }), (everyMs) => {
        let view = hearEndpoint(UNTRIED, 'judgement', 0);
        for (let atMs = everyMs; atMs <= 600_000; atMs += everyMs) {
          view = hearEndpoint(view, 'failure', atMs);
        }
        expect(view.haltedAtMs).toBeLessThanOrEqual(ONLY_FAILING_MS + 2 * everyMs);
        expect(hearEndpoint(view, 'judgement', 600_001).haltedAtMs).toBeUndefined();
      }),
    );
  });
});
