import Bottleneck from 'bottleneck';
import { PULSE_MS } from '../../core/pace.ts';

/** No pause is longer, so that a change of pace or an end of an outage is noticed. */
const LONGEST_PAUSE_MS = 1_000;
/** Bottleneck counts in wall-clock time; a step back of more than this would make it wait for as long as the step. */
const CLOCK_STEP_MS = 100;

/**
 * So many pulses are one Bottleneck job, which is kept as far from the next one as they take: a job costs 0.6 ms of CPU, more than a pulse, and leaves
 * 60 kB to be collected.
 */
const PULSES_A_JOB = 8;
const JOB_MS = PULSES_A_JOB * PULSE_MS;
/** Timers are always a little late. A pulse that is late by no more than this does not hold up the next: each fetches only what 25 ms of the pace hold. */
const MOST_LATE_MS = PULSE_MS / 2;

/** Pulses while there is something to ask for. It keeps pulses apart, and Bottleneck keeps whole runs of them apart, whatever goes wrong here. */
export class PulseLoop {
  readonly #isNeeded: () => boolean;
  readonly #pulse: () => Promise<number>;
  #gate = openGate();
  #gateOffsetMs = wallOffsetMs();
  #isRunning = false;
  #isStopped = false;
  /** No pulse begins before it, of `performance.now()`. */
  #nextMs = 0;
  #endPause: (() => void) | undefined;
  #endIdle: (() => void) | undefined;
  #isWoken = false;

  /**
   * @param isNeeded - whether there is something to ask for
   * @param pulse - answers with the least time until the next makes sense, milliseconds; must not reject
   */
  constructor(isNeeded: () => boolean, pulse: () => Promise<number>) {
    this.#isNeeded = isNeeded;
    this.#pulse = pulse;
  }

  /** Begins to pulse, unless it does so already or nothing is needed. */
  start(): void {
    if (this.#isStopped || !this.#isNeeded()) return;
    this.#endIdle?.();
    if (this.#isRunning) return;
    this.#isRunning = true;
    void this.#run();
  }

  /** Ends the pause, or leaves out the one after the pulse that is under way. */
  wake(): void {
    this.#isWoken = true;
    this.#endPause?.();
  }

  stop(): void {
    this.#isStopped = true;
    this.#endIdle?.();
    this.wake();
  }

  async #run(): Promise<void> {
    while (!this.#isStopped && this.#isNeeded()) await this.#freshGate().schedule(() => this.#pulses());
    this.#isRunning = false;
  }

  /** A run of pulses. Where nothing is needed for a moment, the rest of its time is waited for that. */
  async #pulses(): Promise<void> {
    const endMs = performance.now() + JOB_MS;
    for (let count = 0; count < PULSES_A_JOB; count += 1) {
      const leftMs = endMs - performance.now();
      if (!this.#isNeeded() && leftMs > 0) await this.#idle(leftMs);
      if (this.#isStopped || !this.#isNeeded()) return;
      await this.#apart();
      if (this.#isStopped) return;
      this.#isWoken = false;
      const pauseMs = await this.#pulse();
      if (pauseMs > 0 && !this.#isStopped && !this.#isWoken) await this.#pause(Math.min(pauseMs, LONGEST_PAUSE_MS));
    }
  }

  /** Waits until a pulse may begin. One that begins late does not hold up the next. */
  async #apart(): Promise<void> {
    const nowMs = performance.now();
    const waitMs = Math.max(0, this.#nextMs - nowMs);
    this.#nextMs = Math.max(this.#nextMs, nowMs - MOST_LATE_MS) + PULSE_MS;
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
  }

  /** As long as asked, and until the next pulse may begin: one timer for both. */
  #pause(ms: number): Promise<void> {
    const untilNextMs = Math.ceil(this.#nextMs - performance.now());
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.max(ms, untilNextMs));
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #idle(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#endIdle = undefined;
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.#endIdle = end;
    });
  }

  #freshGate(): Bottleneck {
    const offsetMs = wallOffsetMs();
    if (offsetMs < this.#gateOffsetMs - CLOCK_STEP_MS) this.#gate = openGate();
    this.#gateOffsetMs = offsetMs;
    return this.#gate;
  }
}

function openGate(): Bottleneck {
  return new Bottleneck({ maxConcurrent: 1, minTime: JOB_MS });
}

function wallOffsetMs(): number {
  return Date.now() - performance.now();
}
