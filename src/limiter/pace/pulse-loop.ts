import Bottleneck from 'bottleneck';
import { PULSE_MS } from '../../core/pace.ts';

/** No pause is longer, so that a change of pace or an end of an outage is noticed. */
const LONGEST_PAUSE_MS = 1_000;
/** Bottleneck counts in wall-clock time; a step back of more than this would make it wait for as long as the step. */
const CLOCK_STEP_MS = 100;

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
    if (this.#isRunning || this.#isStopped || !this.#isNeeded()) return;
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
    this.wake();
  }

  async #run(): Promise<void> {
    while (!this.#isStopped && this.#isNeeded()) {
      this.#isWoken = false;
      const pauseMs = await this.#freshGate().schedule(this.#pulse);
      if (pauseMs > 0 && !this.#isStopped && !this.#isWoken) await this.#pause(Math.min(pauseMs, LONGEST_PAUSE_MS));
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
