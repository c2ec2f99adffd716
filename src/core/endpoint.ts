import type { Answer } from './answer.ts';
import { blameOf } from './code-table.ts';

/**
 * What an answer says about its endpoint: that it judges calls, that it failed this one, or neither. An API that throttles is at work, but has judged
 * nothing.
 */
export type Bearing = 'judgement' | 'failure' | 'neither';

export function bearingOf(answer: Answer): Bearing {
  switch (answer.kind) {
    case 'accepted':
      return 'judgement';
    case 'garbled':
      return 'failure';
    case 'network':
      // Ended by this process, as it leaves.
      return answer.code === 'closed' ? 'neither' : 'failure';
    case 'not-sent':
      return 'neither';
    case 'refused':
      return bearingOfCode(answer.code);
  }
}

function bearingOfCode(code: string): Bearing {
  switch (blameOf(code)) {
    case 'item':
    case 'not-found':
    case 'instance':
    case 'credential':
    case 'token':
    case 'risk-control':
    case 'clock':
    case 'our-request':
      return 'judgement';
    case 'nonce':
    case 'service':
    case 'unknown':
      return 'failure';
    case 'rate':
      return 'neither';
  }
}

/** Slots that a read is tried in: they pass while the connection is made, which is kept, and on a busy machine. */
export const SLOTS_TRIED = 10;

/** So many failures, */
export const FAILURES_TO_HALT = 20;
/** over so long, */
export const FAILING_MS = 5_000;
/** or failures only for so long, are an outage where no judgement came between. */
export const ONLY_FAILING_MS = 15_000;
/** After a lift there is no further halt for this time: what answers reads and fails deletions must end in the breaker's pause, not in a loop. */
export const NO_HALT_AFTER_LIFT_MS = 60_000;

/** What a process makes of its own calls of an account. Times are of one clock that never goes back, milliseconds. */
export interface EndpointView {
  /** Since the last judgement. */
  readonly failures: number;
  /** Of the first of them. */
  readonly failingSinceMs: number;
  readonly haltedAtMs?: number;
  readonly liftedAtMs?: number;
}

export const UNTRIED: EndpointView = { failures: 0, failingSinceMs: 0 };

/** The view after an answer that came at `atMs`. It is halted while it has a `haltedAtMs`. */
export function hearEndpoint(view: EndpointView, bearing: Bearing, atMs: number): EndpointView {
  switch (bearing) {
    case 'neither':
      return view;
    case 'judgement': {
      const liftedAtMs = view.haltedAtMs === undefined ? view.liftedAtMs : atMs;
      return { ...UNTRIED, ...(liftedAtMs !== undefined && { liftedAtMs }) };
    }
    case 'failure': {
      const failures = view.failures + 1;
      const failingSinceMs = view.failures === 0 ? atMs : view.failingSinceMs;
      const next = { ...view, failures, failingSinceMs };
      return next.haltedAtMs === undefined && isOutage(next, atMs) ? { ...next, haltedAtMs: atMs } : next;
    }
  }
}

function isOutage({ failures, failingSinceMs, liftedAtMs }: EndpointView, nowMs: number): boolean {
  if (liftedAtMs !== undefined && nowMs - liftedAtMs < NO_HALT_AFTER_LIFT_MS) return false;
  const failingMs = nowMs - failingSinceMs;
  return failingMs >= ONLY_FAILING_MS || (failures >= FAILURES_TO_HALT && failingMs >= FAILING_MS);
}
