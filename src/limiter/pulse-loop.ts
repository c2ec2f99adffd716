import Bottleneck from 'bottleneck';
import { PULSE_MS, slotsPerPulse } from '../core/pace.ts';

/** No pause is longer, so that a change of pace or an end of an outage is noticed. */
const LONGEST_PAUSE_MS = 1_000;
/** Bottleneck counts in wall-clock time; a step back of more than this would make it wait for as long as the step. */
const CLOCK_STEP_MS = 100;

/** A process that pulsed late may make up for so many pulses: as much as Redis gives ahead. */
const PULSES_MADE_UP = 3;

/**
 * What a process may ask for, whatever Redis would give: its pace times the time, so that it cannot go over that even where Redis is wrong. A
 * fixed number a pulse would lose pace with each pulse that a busy machine delays.
 */
export class SlotCredit {
  readonly #qps: number;
  readonly #most: number;
  #slots: number;
  #atMs: number | undefined;

  constructor(qps: number) {
    this.#qps = qps;
    this.#most = PULSES_MADE_UP * slotsPerPulse(qps);
    this.#slots = this.#most;
  }

  /** Whole slots that may be asked for. */
  at(nowMs: number): number {
    const earned = (this.#qps * (nowMs - (this.#atMs ?? nowMs))) / 1000;
    this.#slots = Math.min(this.#most, this.#slots + earned);
    this.#atMs = nowMs;
    return Math.floor(this.#slots);
  }

  spend(slots: number): void {
    this.#slots -= slots;
  }
}

/**
 * Pulses while there is something to ask for. Bottleneck keeps them apart. One Bottleneck job is one pulse for many callers: a job costs 0.65 ms of CPU.
 */
export class PulseLoop {
  readonly #isNeeded: () => boolean;
  readonly #pulse: () => Promise<number>;
  #gate = openGate();
  #gateOffsetMs = wallOffsetMs();
  #isRunning = false;
  #isStopped = false;
  #endPause: (() => void) | undefined;

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
    if (this.#isRunning || this.#isStopped || !this.#isNeeded()) return;
    this.#isRunning = true;
    void this.#run();
  }

  /** Ends a pause. */
  wake(): void {
    this.#endPause?.();
  }

  stop(): void {
    this.#isStopped = true;
    this.wake();
  }

  async #run(): Promise<void> {
    while (!this.#isStopped && this.#isNeeded()) {
      const pauseMs = await this.#freshGate().schedule(this.#pulse);
      if (pauseMs > 0 && !this.#isStopped) await this.#pause(Math.min(pauseMs, LONGEST_PAUSE_MS));
    }
    this.#isRunning = false;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
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
  return new Bottleneck({ maxConcurrent: 1, minTime: PULSE_MS });
}

function wallOffsetMs(): number {
  return Date.now() - performance.now();
}
