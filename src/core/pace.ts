/**
 * Pace arithmetic. The promise: in any sliding second at most `qps` calls. A call may leave up to `lateMs` after its
 * slot, so the slots of 1000 + lateMs milliseconds, not of 1000, must be at most `qps`.
 */
export const DEFAULT_LATE_MS = 25;
/**
 * How much of the pace a process has in hand at most, milliseconds: slots whose moment has not come, and whose calls are noted. A killed
 * process leaves at most that many noted without a call.
 */
export const IN_HAND_MS = 25;
/** The furthest that a slot is ever given ahead, milliseconds: eight processes that share a pace take turns, each with what it may have in hand. */
export const HORIZON_MS = 200;
/** Distance between two pulses of a process, milliseconds. */
export const PULSE_MS = 25;

/** The cloud's own limits, calls a second (help.aliyun.com, "QPS limits", 2026). Ours stay below. */
export const CLOUD_ACCOUNT_QPS = 500;
export const CLOUD_EGRESS_QPS = 300;
export const DEFAULT_ACCOUNT_QPS = 480;
export const DEFAULT_EGRESS_QPS = 280;

/** Distance between two slots, milliseconds. */
export function spacingMs(qps: number, lateMs: number): number {
  return (1000 + lateMs) / qps;
}

/** The most slots one pulse may ask for: what the pace allows between two pulses, at least one. */
export function slotsPerPulse(qps: number): number {
  return Math.max(1, Math.ceil((qps * PULSE_MS) / 1000));
}

/** The most slots that a process may have in hand whose moment has not come. */
export function mostInHand(qps: number): number {
  return Math.max(1, Math.ceil((qps * IN_HAND_MS) / 1000));
}

/** The most events in any half-open window [t, t + windowMs). Times in milliseconds, in any order. */
export function worstWindow(timesMs: readonly number[], windowMs = 1000): number {
  const sorted = timesMs.toSorted((a, b) => a - b);
  let worst = 0;
  let first = 0;
  for (const [last, time] of sorted.entries()) {
    while (time - (sorted[first] ?? 0) >= windowMs) first += 1;
    worst = Math.max(worst, last - first + 1);
  }
  return worst;
}

/** Whole seconds until `pending` items are settled at the present rate; undefined when nothing moves. */
export function etaSeconds(pending: number, ratePerSecond: number): number | undefined {
  if (pending <= 0) return 0;
  return ratePerSecond > 0 ? Math.ceil(pending / ratePerSecond) : undefined;
}
