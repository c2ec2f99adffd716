export interface BackoffPolicy {
  /** Upper bound of the first delay, milliseconds. */
  readonly baseMs: number;
  /** Upper bound of every delay, milliseconds. */
  readonly capMs: number;
}

/**
 * Exponential backoff with full jitter: uniform in [0, min(capMs, baseMs * 2^(attempt-1))), whole milliseconds.
 * @param attempt - attempts used so far, from 1
 * @param random - a number in [0, 1)
 */
export function backoffMs(attempt: number, policy: BackoffPolicy, random: number): number {
  // 2^31 is past any cap; the bound keeps the power finite for absurd attempts.
  const ceiling = Math.min(policy.capMs, policy.baseMs * 2 ** Math.min(Math.max(attempt, 1) - 1, 31));
  return Math.floor(random * ceiling);
}
