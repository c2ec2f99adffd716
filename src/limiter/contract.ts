import type { Redis } from 'ioredis';
import type { HaltScope } from '../core/decide.ts';

export interface LimiterOptions {
  /** A connection of the `worker` role; it stays the caller's. */
  readonly redis: Redis;
  /** Begins every key, with the hash tag: "{certsweep}". */
  readonly prefix: string;
  readonly account: { readonly name: string; readonly qps: number };
  readonly egress: { readonly id: string; readonly qps: number };
  /** How long after its moment a slot is void, milliseconds. */
  readonly lateMs: number;
  /** Between two probes of a halt, milliseconds; 30 s when not given. */
  readonly probeIntervalMs?: number;
  /** The shared counter of signals has another value, also on its first reading: halts or batch states must be read again. */
  onSignals?(version: number): void;
  /** Every call of every account is stopped, or, undefined, no longer. */
  onStop?(stop: Stop | undefined): void;
  /** At most one of a kind in ten seconds. */
  onNotice?(notice: LimiterNotice): void;
  /** Redis has answered a pulse, from the command to its answer. */
  onRoundTrip?(ms: number): void;
  /** A pulse has just asked Redis for slots: what else must be written can share the wake-up. */
  onPulse?(): void;
}

/** The kill switch, set: no call of any account is made. */
export interface Stop {
  /** Milliseconds since 1970 by Redis' clock. */
  readonly since: number;
  readonly requestedBy: string;
  readonly reason: string | null;
}

/** What costs pace; counts are since the last notice of the kind. */
export type LimiterNotice =
  /** Redis answered too late for these slots to be used; `roundTripMs` is the longest. */
  | { readonly kind: 'reservation-late'; readonly count: number; readonly roundTripMs: number }
  /** Slots in hand were not used in time: the process stalled, or the connection to Redis dropped. */
  | { readonly kind: 'slots-void'; readonly count: number }
  /** No slots are given until it answers; `message` is Redis' or the network's own. */
  | { readonly kind: 'redis-unavailable'; readonly count: number; readonly message: string };

/**
 * What is to hold of a call, and to be noted of it, in the same step that gives it its slot. Owned here; the ledger's is one.
 * `Verdict` has the kind `go` where the call may be made.
 */
export interface CallNotes<Call, Verdict extends { readonly kind: string }> {
  /** Defines `openCalls(request, firstKey, nowMs, claimMs)`, which replies verdicts, the callable ones' indexes, and `note(count)`. */
  readonly lua: string;
  /** How long a noted claim lasts, milliseconds. */
  readonly claimMs: number;
  /** @param back - noted before, and certainly not made */
  request(
    calls: readonly (Call | undefined)[],
    back: readonly Call[],
  ): { readonly keys: readonly string[]; readonly json: string };
  read(verdict: string): Verdict;
  /** The call was noted; where it rests on a claim, that ends at `claimEndMs` of Redis' clock. */
  noted(call: Call, claimEndMs: number): void;
}

export interface CallRequest<Call> {
  readonly instanceId: string;
  readonly isUrgent: boolean;
  /** Undefined for a call that nothing is noted of. */
  readonly call?: Call;
}

/**
 * What an answer says about the account: `proved` access, `throttled`, `halt` (every call of the scope would fail the same way), `void` (nothing left),
 * or nothing of these.
 */
export type CallReport =
  | { readonly kind: 'proved' | 'void' | 'nothing' }
  | { readonly kind: 'throttled'; readonly retryAfterMs: number }
  | { readonly kind: 'halt'; readonly scope: HaltScope; readonly code: string; readonly message: string };

/** What a report changed for all processes. */
export type Reported = 'halted' | 'lifted' | 'nothing';

/** The right to make one call. */
export interface SlotGrant<Verdict> {
  readonly kind: 'slot';
  /** Call before it (of `performance.now()`) or not at all: take another slot instead. */
  readonly notAfterMs: number;
  /** The one call that tests a halt. */
  readonly isProbe: boolean;
  /** What the notes say of the call; undefined where there are none. */
  readonly verdict: Verdict | undefined;
  /** To be called once, with what came of the call. Resolves when all processes can know, and at the latest after two seconds; never rejects. */
  report(report: CallReport): Promise<Reported>;
}

export type Grant<Verdict> =
  | SlotGrant<Verdict>
  /** By the notes: no call may be made. */
  | { readonly kind: 'refused'; readonly verdict: Verdict }
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
 * unreachable there are no slots, so no calls.
 */
export interface Limiter<Call = never, Verdict extends { readonly kind: string } = never> {
  /** Callers that wait for a slot. */
  readonly waiting: number;
  /** The account is stopped in all processes, as far as this one knows. */
  readonly isHalted: boolean;
  /** What may be called for of the instance, as far as this process knows: anything, one call that probes its halt, or nothing. */
  admits(instanceId: string): 'all' | 'probe' | 'none';
  /** Resolves at the slot's moment or up to 20 ms later; first come, first served, urgent callers ahead of the others. */
  take(request: CallRequest<Call>): Promise<Grant<Verdict>>;
  /** Stops the scope in all processes. True where it was not marked before and now is. */
  halt(scope: HaltScope, instanceId: string, code: string, message: string): Promise<boolean>;
  /** Waiting callers get `closed`, and so does everyone after. */
  close(): Promise<void>;
}

/** Slots of one process since its limiter was opened. */
export interface SlotTally {
  /** Callers got them. */
  readonly taken: number;
  /** Lost, by cause, as the notices say; for `redis-unavailable`, tries that failed. */
  readonly unused: Readonly<Record<LimiterNotice['kind'], number>>;
}

/** A limiter that says what it gave and lost. */
export interface CountingLimiter<Call = never, Verdict extends { readonly kind: string } = never> extends Limiter<
  Call,
  Verdict
> {
  readonly slots: SlotTally;
}

/** The limiter's keys. `signals` is a counter that goes up with each change of a halt or a batch's state. */
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

/** A clock: of an account, or of a source address. */
export type ClockOf = { readonly account: string } | { readonly egress: string };

/** List: samples of a clock's pace, the newest first. */
export function samplesKey(prefix: string, of: ClockOf): string {
  return `${prefix}:pace:samples:${'account' in of ? `account:${of.account}` : `egress:${of.egress}`}`;
}

/** Sorted set: the clocks that have samples, as JSON, by the time of the newest. */
export function sampledKey(prefix: string): string {
  return `${prefix}:pace:sampled`;
}

export function signalsKey(prefix: string): string {
  return `${prefix}:signals`;
}
