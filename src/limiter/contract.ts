import type { Redis } from 'ioredis';
import type { HaltScope } from '../core/decide.ts';

export interface LimiterOptions {
  /** A connection of the `worker` role; it stays the caller's. */
  readonly redis: Redis;
  /** Begins every key, with the hash tag: "{certsweep}". */
  readonly prefix: string;
  readonly account: { readonly name: string; readonly qps: number };
  readonly egress: { readonly id: string; readonly qps: number };
  /** A slot is void so long after its moment, milliseconds. */
  readonly lateMs: number;
  /** Between two probes of a halt, milliseconds; 30 s when not given. */
  readonly probeIntervalMs?: number;
  /** The shared counter of signals has another value, also on its first reading: halts or batch states are to be read anew. */
  onSignals?(version: number): void;
  /** At most one of a kind in ten seconds. */
  onNotice?(notice: LimiterNotice): void;
}

/** What costs pace; counts are since the last notice of the kind. */
export type LimiterNotice =
  /** Redis answered too late for these slots to be used; `roundTripMs` is the longest. */
  | { readonly kind: 'reservation-late'; readonly count: number; readonly roundTripMs: number }
  /** Slots in hand were not used in time: the process stalled, or the connection to Redis dropped. */
  | { readonly kind: 'slots-void'; readonly count: number }
  /** No slots are given until it answers; `message` is Redis' or the network's own. */
  | { readonly kind: 'redis-unavailable'; readonly count: number; readonly message: string };

export type Grant =
  /** Call before `notAfterMs` (of `performance.now()`) or not at all: take another slot instead. `probe`: the one call that tests a halt. */
  | { readonly kind: 'slot'; readonly notAfterMs: number; readonly probe: boolean }
  | {
      readonly kind: 'halted';
      readonly scope: HaltScope;
      readonly code: string;
      readonly message: string;
      /** When to ask again, at least 250. */
      readonly retryInMs: number;
    }
  | { readonly kind: 'closed' };

/**
 * Gives the right to call, one call at a time, to the callers of one account in one process. None of it throws or rejects: while Redis is
 * unreachable there are no slots, hence no calls.
 */
export interface Limiter {
  /** Callers that wait for a slot. */
  readonly waiting: number;
  /**
   * Resolves at the slot's moment, not before it; first come, first served, urgent callers ahead of the others.
   * @param onNear - mostly called some milliseconds before: what must be done between the wait and the call can begin. It promises no slot, and
   * where there is no time it is not called.
   */
  take(instanceId: string, urgent?: boolean, onNear?: () => void): Promise<Grant>;
  /** The API throttled a call: slows the account in all processes, and stops it for `retryAfterMs` (at most 60 s). */
  throttled(retryAfterMs: number): Promise<void>;
  /** Every call of the scope would fail the same way: stops it in all processes. True where it was not marked before and now is. */
  halt(scope: HaltScope, instanceId: string, code: string, message: string): Promise<boolean>;
  /**
   * The instance's probe, given out by this limiter, succeeded: ends its halt and the account's, and says whether a mark was there. Does nothing
   * where none is out; calls that were on their way when the halt began prove nothing.
   */
  lift(instanceId: string): Promise<boolean>;
  /** The instance's probe, given out by this limiter, has told nothing: the next caller of any process may probe in its place. */
  probeAgain(instanceId: string): Promise<void>;
  /** Waiting callers get `closed`, and so does everyone after. */
  close(): Promise<void>;
}

/** The limiter's keys. `signals` is a counter that whoever changes halts or batch states increments. */
export interface LimiterKeys {
  readonly account: string;
  readonly egress: string;
  readonly halts: string;
  readonly probes: string;
  readonly signals: string;
}

export function limiterKeys(prefix: string, account: string, egress: string): LimiterKeys {
  return {
    account: accountKey(prefix, account),
    egress: egressKey(prefix, egress),
    halts: `${prefix}:halts`,
    probes: `${prefix}:probes`,
    signals: signalsKey(prefix),
  };
}

export function accountKey(prefix: string, account: string): string {
  return `${prefix}:pace:account:${account}`;
}

export function egressKey(prefix: string, egress: string): string {
  return `${prefix}:pace:egress:${egress}`;
}

export function signalsKey(prefix: string): string {
  return `${prefix}:signals`;
}
