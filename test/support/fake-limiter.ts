import { setTimeout as delay } from 'node:timers/promises';
import type { CallReport, CallRequest, Grant, Limiter, Reported, SlotGrant } from '../../src/limiter/contract.ts';

export interface FakePaceOptions<Call, Verdict> {
  /** Default: so many that nobody waits. */
  readonly qps?: number;
  readonly lateMs?: number;
  readonly probeIntervalMs?: number;
  /** What the notes say of a call at its slot. */
  readonly judge?: (call: Call) => Verdict | Promise<Verdict>;
}

interface Halt {
  readonly scope: 'account' | 'instance';
  readonly code: string;
  readonly message: string;
  probeAtMs: number;
}

interface Caller<Call, Verdict> {
  readonly request: CallRequest<Call>;
  /** The halt that it is to probe. */
  readonly probes: Halt | undefined;
  readonly by: object;
  readonly resolve: (grant: Grant<Verdict>) => void;
}

/** Nobody is told to ask again sooner. */
const SHORTEST_RETRY_MS = 250;

/** In place of Redis: one account, its pace and its halts, for any number of limiters. Passes the same contract tests as the real ones. */
export class FakePace<Call = never, Verdict extends { readonly kind: string } = never> {
  /** Calls that got their slots, in their order. */
  readonly noted: Call[] = [];
  readonly #options: FakePaceOptions<Call, Verdict>;
  /** By instance; the account's under the empty name. */
  readonly #halts = new Map<string, Halt>();
  #waiting: Caller<Call, Verdict>[] = [];
  #nextMs = 0;
  #isServing = false;

  constructor(options: FakePaceOptions<Call, Verdict> = {}) {
    this.#options = options;
  }

  open(): Limiter<Call, Verdict> {
    const self = {};
    const waiting = (): Caller<Call, Verdict>[] => this.#waiting.filter(({ by }) => by === self);
    const isAccountHalted = (): boolean => this.#halts.has('');
    let isClosed = false;
    return {
      get waiting() {
        return waiting().length;
      },
      get isHalted() {
        return isAccountHalted();
      },
      admits: (instanceId) => {
        const halt = this.#haltOf(instanceId);
        if (halt === undefined) return 'all';
        return halt.probeAtMs <= performance.now() ? 'probe' : 'none';
      },
      take: async (request) => (isClosed ? { kind: 'closed' } : this.#take(request, self)),
      halt: async (...halt) => this.#halt(...halt),
      close: async () => {
        isClosed = true;
        for (const caller of waiting()) this.#end(caller, { kind: 'closed' });
      },
    };
  }

  /** A batch's state has changed: all who wait are judged again. */
  async signal(): Promise<void> {
    const waiting = this.#waiting.slice();
    for (const caller of waiting) await this.#judge(caller);
  }

  #take(request: CallRequest<Call>, by: object): Grant<Verdict> | Promise<Grant<Verdict>> {
    const halt = this.#haltOf(request.instanceId);
    const nowMs = performance.now();
    if (halt !== undefined && halt.probeAtMs > nowMs) return halted(halt);
    if (halt !== undefined) halt.probeAtMs = nowMs + (this.#options.probeIntervalMs ?? 30_000);
    return new Promise((resolve) => {
      const rankOf = (caller: Pick<Caller<Call, Verdict>, 'request' | 'probes'>): number =>
        caller.probes === undefined ? Number(!caller.request.isUrgent) : -1;
      this.#waiting.push({ request, probes: halt, by, resolve });
      // Sorting is stable: first come, first served.
      this.#waiting.sort((a, b) => rankOf(a) - rankOf(b));
      void this.#serve();
    });
  }

  async #serve(): Promise<void> {
    if (this.#isServing) return;
    this.#isServing = true;
    for (let caller = this.#waiting[0]; caller !== undefined; caller = this.#waiting[0]) {
      // Also lets those who ask together be put in order.
      await delay(Math.max(0, Math.min(5, this.#nextMs - performance.now())));
      if (this.#nextMs > performance.now() || caller !== this.#waiting[0]) continue;
      const verdict = await this.#judge(caller);
      if (verdict !== 'gone') this.#grant(caller, verdict);
    }
    this.#isServing = false;
  }

  /** Refuses the caller where its notes say so. */
  async #judge(caller: Caller<Call, Verdict>): Promise<Verdict | undefined | 'gone'> {
    const { call } = caller.request;
    const verdict = call === undefined ? undefined : await this.#options.judge?.(call);
    if (verdict !== undefined && verdict.kind !== 'go') this.#end(caller, { kind: 'refused', verdict });
    return this.#waiting.includes(caller) ? verdict : 'gone';
  }

  #grant(caller: Caller<Call, Verdict>, verdict: Verdict | undefined): void {
    const { qps = 100_000, lateMs = 25 } = this.#options;
    const nowMs = performance.now();
    const { call, instanceId } = caller.request;
    let { probes } = caller;
    const probeAtMs = probes?.probeAtMs;
    this.#nextMs = nowMs + (1_000 + lateMs) / qps;
    if (call !== undefined) this.noted.push(call);
    this.#waiting = this.#waiting.filter((other) => other !== caller);
    const grant: SlotGrant<Verdict> = {
      kind: 'slot',
      notAfterMs: nowMs + lateMs,
      isProbe: probes !== undefined,
      verdict,
      report: async (told) => {
        // A probe tells once, and only as long as nobody has probed after it.
        const own = probes?.probeAtMs === probeAtMs ? probes : undefined;
        probes = undefined;
        return this.#hear(told, instanceId, own);
      },
    };
    caller.resolve(grant);
  }

  #hear(told: CallReport, instanceId: string, probed: Halt | undefined): Reported {
    switch (told.kind) {
      case 'proved':
        if (probed === undefined || this.#haltOf(instanceId) === undefined) return 'nothing';
        this.#halts.delete('');
        this.#halts.delete(instanceId);
        return 'lifted';
      case 'throttled':
        this.#nextMs = Math.max(this.#nextMs, performance.now() + told.retryAfterMs);
        return 'nothing';
      case 'halt':
        return this.#halt(told.scope, instanceId, told.code, told.message) ? 'halted' : 'nothing';
      case 'void':
        if (probed !== undefined) probed.probeAtMs = 0;
        return 'nothing';
      case 'nothing':
        return 'nothing';
    }
  }

  #halt(scope: Halt['scope'], instanceId: string, code: string, message: string): boolean {
    const name = scope === 'account' ? '' : instanceId;
    if (this.#halts.has(name)) return false;
    const probeAtMs = performance.now() + (this.#options.probeIntervalMs ?? 30_000);
    this.#halts.set(name, { scope, code, message, probeAtMs });
    for (const caller of this.#waiting) {
      const halt = this.#haltOf(caller.request.instanceId);
      if (halt !== undefined && caller.probes === undefined) this.#end(caller, halted(halt));
    }
    return true;
  }

  #haltOf(instanceId: string): Halt | undefined {
    return this.#halts.get('') ?? this.#halts.get(instanceId);
  }

  /** Without a slot: what it was to probe is the next one's. */
  #end(caller: Caller<Call, Verdict>, grant: Grant<Verdict>): void {
    if (!this.#waiting.includes(caller)) return;
    this.#waiting = this.#waiting.filter((other) => other !== caller);
    if (caller.probes !== undefined) caller.probes.probeAtMs = 0;
    caller.resolve(grant);
  }
}

function halted({ scope, code, message, probeAtMs }: Halt): Extract<Grant<never>, { kind: 'halted' }> {
  const retryInMs = Math.max(SHORTEST_RETRY_MS, Math.ceil(probeAtMs - performance.now()));
  return { kind: 'halted', scope, code, message, retryInMs };
}
