import type { Grant, Stop } from '../contract.ts';
import type { HaltsSeen } from './halt-store.ts';
import { describeStop, STOPPED } from './stop.ts';

export type Halted = Extract<Grant<never>, { kind: 'halted' }>;

/** What a process may do for an instance, as far as it knows. */
export type HaltJudgement = { readonly kind: 'go' } | { readonly kind: 'probe-due' } | Halted;

/** Nobody asks again sooner, milliseconds. */
export const SHORTEST_RETRY_MS = 250;
/** The least wait after a stop of all calls has ended; until then nobody takes what was stopped. */
const STOP_RETRY_MS = 1_000;

interface Mark {
  readonly code: string;
  readonly message: string;
  /** On the clock of `performance.now()`. */
  probeAtMs: number;
}

/** A process' knowledge of its account's halts, so that judging a caller takes no Redis command. */
export class HaltView {
  readonly #probeIntervalMs: number;
  #account: Mark | undefined;
  #instances = new Map<string, Mark>();
  #stop: Stop | undefined;

  constructor(probeIntervalMs: number) {
    this.#probeIntervalMs = probeIntervalMs;
  }

  get isAccountHalted(): boolean {
    return this.#account !== undefined || this.#stop !== undefined;
  }

  get any(): boolean {
    return this.isAccountHalted || this.#instances.size > 0;
  }

  /** Set while every call of every account is stopped. */
  get stop(): Stop | undefined {
    return this.#stop;
  }

  /** Takes over what Redis knows. */
  learn(seen: HaltsSeen, nowMs: number): void {
    this.#account = undefined;
    this.#instances = new Map();
    this.#stop = seen.stop;
    for (const { instanceId, code, message, nextProbeAt } of seen.halts) {
      // One further off than an interval was set before Redis' clock went back.
      const probeAtMs = nowMs + Math.min(nextProbeAt - seen.nowMs, this.#probeIntervalMs);
      const mark = { code, message, probeAtMs };
      if (instanceId === undefined) this.#account = mark;
      else this.#instances.set(instanceId, mark);
    }
  }

  judge(instanceId: string, nowMs: number): HaltJudgement {
    if (this.#stop !== undefined) {
      const message = describeStop(this.#stop);
      return { kind: 'halted', scope: 'account', code: STOPPED, message, retryInMs: STOP_RETRY_MS };
    }
    const instance = this.#instances.get(instanceId);
    const mark = this.#account ?? instance;
    if (mark === undefined) return { kind: 'go' };
    const probeInMs = Math.max(mark.probeAtMs, instance?.probeAtMs ?? 0) - nowMs;
    if (probeInMs <= 0) return { kind: 'probe-due' };
    return {
      kind: 'halted',
      scope: mark === this.#account ? 'account' : 'instance',
      code: mark.code,
      message: mark.message,
      retryInMs: Math.max(SHORTEST_RETRY_MS, Math.ceil(probeInMs)),
    };
  }

  /** The answer to a caller that waits when the instance is halted. */
  refusal(instanceId: string, nowMs: number): Halted | undefined {
    const judgement = this.judge(instanceId, nowMs);
    if (judgement.kind === 'halted') return judgement;
    if (judgement.kind === 'go') return undefined;
    // A probe is due: the next caller gets it.
    this.setProbe(instanceId, nowMs + SHORTEST_RETRY_MS);
    return this.refusal(instanceId, nowMs);
  }

  /** This process asks for no probe of the instance before. */
  setProbe(instanceId: string, probeAtMs: number): void {
    for (const mark of [this.#account, this.#instances.get(instanceId)]) {
      if (mark !== undefined) mark.probeAtMs = probeAtMs;
    }
  }
}
