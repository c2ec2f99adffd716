import { HORIZON_MS } from '../../core/pace.ts';

/** Two clocks that run freely drift apart by less than this share, */
const DRIFT = 0.001;
/** and a step of Redis' clock by less than this adds a call or two, milliseconds. */
const STEP_MS = 5;
/** After this long without an answer, drift could pass for a step, and a step for drift. */
const FORGET_AFTER_MS = 10_000;

/**
 * Knows for how long Redis' clock has run on as this process' own. Before it has done so for long enough, slots of others may be nearer than Redis
 * knows, see the script; a step forward begins it again, and what Redis gave after the step is not used.
 */
export class ServerClockWatch {
  readonly #longestMs: number;
  #known: { readonly sinceMs: number; readonly mostAheadMs: number; readonly atMs: number } | undefined;

  constructor(lateMs: number) {
    this.#longestMs = HORIZON_MS + lateMs + 1_000;
  }

  /** How much longer no slot may be asked for. */
  restMs(nowMs: number): number {
    return this.#known === undefined ? this.#longestMs : Math.max(0, this.#known.sinceMs + this.#longestMs - nowMs);
  }

  /** @param serverMs - Redis' time, read between asking and answering */
  observe(serverMs: number, askedMs: number, answeredMs: number): void {
    const known = this.#known;
    const mostAheadMs = serverMs - askedMs;
    const sinceLastMs = answeredMs - (known?.atMs ?? Number.NEGATIVE_INFINITY);
    const driftedMs = (known?.mostAheadMs ?? 0) + sinceLastMs * DRIFT;
    const runsOn = sinceLastMs < FORGET_AFTER_MS && serverMs - answeredMs <= driftedMs + STEP_MS;
    this.#known = {
      sinceMs: known !== undefined && runsOn ? known.sinceMs : answeredMs,
      // An answer that took long says little, and must not hide a step.
      mostAheadMs: runsOn ? Math.min(mostAheadMs, driftedMs) : mostAheadMs,
      atMs: askedMs,
    };
  }
}
