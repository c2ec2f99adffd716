import type { Grant } from './contract.ts';

export interface Caller {
  readonly instanceId: string;
  readonly resolve: (grant: Grant) => void;
  /** Of whoever is to probe: what stands for the probe. */
  readonly probeMark?: string | undefined;
  /** Called once, when a slot is near that will be this caller's unless others come first. */
  onNear?: (() => void) | undefined;
}

/** Probes go before urgent callers, these before the others; within each, first come, first served. */
export type Lane = 'probe' | 'urgent' | 'bulk';

/** The callers that wait for a slot. */
export class WaitingLine {
  readonly #probe = new Queue();
  readonly #urgent = new Queue();
  readonly #bulk = new Queue();

  get size(): number {
    return this.#probe.size + this.#urgent.size + this.#bulk.size;
  }

  get probes(): number {
    return this.#probe.size;
  }

  join(lane: Lane, caller: Caller): void {
    this.#queueOf(lane).push(caller);
  }

  next(): Caller | undefined {
    return this.#probe.shift() ?? this.#urgent.shift() ?? this.#bulk.shift();
  }

  /** Tells the first callers of the line, as many as slots are near; each once. */
  tellNear(slots: number): void {
    let left = slots;
    for (const queue of [this.#probe, this.#urgent, this.#bulk]) left -= queue.tellNear(left);
  }

  /** Sends away, with the grant that `judge` gives them, all who are not to probe; who gets none stays. */
  sendAway(judge: (instanceId: string) => Grant | undefined): void {
    for (const queue of [this.#urgent, this.#bulk]) queue.sendAway(judge);
  }

  /** Sends everyone away. @returns those who were to probe */
  close(): readonly Caller[] {
    const toProbe = this.#probe.callers;
    for (const queue of [this.#probe, this.#urgent, this.#bulk]) queue.sendAway(() => ({ kind: 'closed' }));
    return toProbe;
  }

  #queueOf(lane: Lane): Queue {
    switch (lane) {
      case 'probe':
        return this.#probe;
      case 'urgent':
        return this.#urgent;
      case 'bulk':
        return this.#bulk;
    }
  }
}

/** Array.shift moves all that wait; this moves them once for as many as have gone. */
class Queue {
  #callers: Caller[] = [];
  #gone = 0;

  get size(): number {
    return this.#callers.length - this.#gone;
  }

  get callers(): readonly Caller[] {
    return this.#callers.slice(this.#gone);
  }

  push(caller: Caller): void {
    this.#callers.push(caller);
  }

  shift(): Caller | undefined {
    const caller = this.#callers[this.#gone];
    if (caller === undefined) return undefined;
    this.#gone += 1;
    if (this.#gone * 2 >= this.#callers.length) {
      this.#callers = this.#callers.slice(this.#gone);
      this.#gone = 0;
    }
    return caller;
  }

  /** @returns how many were told, now or before */
  tellNear(atMost: number): number {
    const until = Math.min(this.#gone + atMost, this.#callers.length);
    for (let at = this.#gone; at < until; at += 1) {
      const caller = this.#callers[at];
      if (caller?.onNear === undefined) continue;
      const { onNear } = caller;
      caller.onNear = undefined;
      onNear();
    }
    return until - this.#gone;
  }

  sendAway(judge: (instanceId: string) => Grant | undefined): void {
    const staying: Caller[] = [];
    for (const caller of this.callers) {
      const grant = judge(caller.instanceId);
      if (grant === undefined) staying.push(caller);
      else caller.resolve(grant);
    }
    this.#callers = staying;
    this.#gone = 0;
  }
}
