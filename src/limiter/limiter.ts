import type { HaltScope } from '../core/decide.ts';
import type {
  CallNotes,
  CallReport,
  CallRequest,
  CountingLimiter,
  Grant,
  LimiterOptions,
  Reported,
  SlotTally,
} from './contract.ts';
import { AccountHalts } from './halts/account-halts.ts';
import { noted } from './noted.ts';
import { NoticeBoard } from './notice-board.ts';
import { NO_NOTES } from './pace/notes-of-calls.ts';
import { openPaceStore, type PaceStore } from './pace/pace-store.ts';
import { SlotQueue } from './pace/slot-queue.ts';
import { NOT_TO_PROBE, RANKS, type Caller, type Rank } from './pace/wait-queue.ts';

/** How long the signals counter and Redis' time may come with no answer before they are read, milliseconds. */
const SIGNALS_POLL_MS = 1_000;

interface Waiting<Call, Verdict> extends Caller<Call> {
  /** Of one that is to probe: the mark of the probe. */
  readonly probeMark?: string;
  readonly resolve: (grant: Grant<Verdict>) => void;
}

/** Starts a limiter; it makes use of the connection and leaves it open. */
export function openLimiter(options: LimiterOptions): CountingLimiter;
/** @param notes - what is noted of calls in the step that gives them their slots */
export function openLimiter<Call, Verdict extends { readonly kind: string }>(
  options: LimiterOptions,
  notes: CallNotes<Call, Verdict>,
): CountingLimiter<Call, Verdict>;
export function openLimiter<Call, Verdict extends { readonly kind: string }>(
  options: LimiterOptions,
  notes: CallNotes<Call, Verdict> = NO_NOTES,
): CountingLimiter<Call, Verdict> {
  return new SlotLimiter(options, notes);
}

class SlotLimiter<Call, Verdict extends { readonly kind: string }> implements CountingLimiter<Call, Verdict> {
  readonly #options: LimiterOptions;
  readonly #pace: PaceStore;
  readonly #halts: AccountHalts;
  readonly #queue: SlotQueue<Call, Verdict, Waiting<Call, Verdict>>;
  readonly #notices: NoticeBoard;
  readonly #poll: NodeJS.Timeout;
  #signals: number | undefined;
  #heardAtMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: LimiterOptions, notes: CallNotes<Call, Verdict>) {
    this.#options = options;
    const { redis, account, egress } = options;
    this.#pace = openPaceStore(options, notes);
    this.#notices = new NoticeBoard(options.onNotice?.bind(options));
    this.#halts = new AccountHalts(
      options,
      (work) => this.#note(work),
      () => this.#readAgain(),
    );
    this.#queue = new SlotQueue({
      pace: this.#pace,
      notes,
      notices: this.#notices,
      qps: Math.min(account.qps, egress.qps),
      away: () => (redis.status === 'ready' ? undefined : `the connection is ${redis.status}`),
      onPulse: () => options.onPulse?.(),
      onTrouble: (reason) => this.#unavailable(reason),
      hear: async (signals, halted) => {
        await this.#hear(signals, halted);
        this.#sendAway();
      },
      grant: (caller, { notAfterMs }, verdict) => this.#grant(caller, notAfterMs, verdict),
      refuse: (caller, verdict) => {
        void this.#giveBackProbe(caller);
        caller.resolve({ kind: 'refused', verdict });
      },
    });
    redis.on('close', this.#onLoss);
    redis.on('ready', this.#onReady);
    this.#poll = setInterval(() => void this.#pollSignals(), SIGNALS_POLL_MS).unref();
    void this.#pollSignals();
  }

  get waiting(): number {
    return this.#queue.size;
  }

  get slots(): SlotTally {
    return { taken: this.#queue.taken, unused: this.#notices.totals };
  }

  get isHalted(): boolean {
    return this.#halts.isAccountHalted;
  }

  admits(instanceId: string): 'all' | 'probe' | 'none' {
    switch (this.#halts.judge(instanceId).kind) {
      case 'go':
        return 'all';
      case 'probe-due':
        return 'probe';
      case 'halted':
        return 'none';
    }
  }

  async take(request: CallRequest<Call>): Promise<Grant<Verdict>> {
    if (this.#isClosed) return { kind: 'closed' };
    const judgement = this.#halts.judge(request.instanceId);
    switch (judgement.kind) {
      case 'go':
        return this.#wait(request, request.isUrgent ? 'urgent' : 'bulk');
      case 'halted':
        return judgement;
      case 'probe-due': {
        const probeMark = await this.#halts.tryProbe(request.instanceId, () => !this.#isClosed);
        return probeMark === undefined ? this.take(request) : this.#wait(request, 'probe', probeMark);
      }
    }
  }

  halt(scope: HaltScope, instanceId: string, code: string, message: string): Promise<boolean> {
    return this.#halts.mark(scope, instanceId, code, message);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#poll);
    this.#options.redis.off('close', this.#onLoss);
    this.#options.redis.off('ready', this.#onReady);
    await this.#sendHome(this.#queue.close());
    // A pulse may yet note the calls that it has with it, so their callers are answered after it, if Redis answers at all.
    await this.#note(this.#queue.pulsing);
    await this.#sendHome(this.#queue.rest());
  }

  async #sendHome(callers: readonly Waiting<Call, Verdict>[]): Promise<void> {
    for (const caller of callers) caller.resolve({ kind: 'closed' });
    if (this.#options.redis.status === 'ready') await Promise.all(callers.map((caller) => this.#giveBackProbe(caller)));
  }

  #wait(request: CallRequest<Call>, rank: Rank, probeMark?: string): Promise<Grant<Verdict>> {
    return new Promise((resolve) => {
      this.#queue.push({ request, rank, resolve, ...(probeMark !== undefined && { probeMark }) });
    });
  }

  #grant(
    { request, probeMark, resolve }: Waiting<Call, Verdict>,
    notAfterMs: number,
    verdict: Verdict | undefined,
  ): void {
    const { instanceId } = request;
    const isProbe = probeMark !== undefined;
    if (isProbe) this.#halts.probeGiven(instanceId, probeMark);
    const report = (told: CallReport): Promise<Reported> => this.#hearReport(instanceId, told, isProbe);
    resolve({ kind: 'slot', notAfterMs, isProbe, verdict, report });
  }

  async #hearReport(instanceId: string, told: CallReport, isProbe: boolean): Promise<Reported> {
    switch (told.kind) {
      case 'proved':
        return isProbe && (await this.#halts.lift(instanceId)) ? 'lifted' : 'nothing';
      case 'throttled':
        if (told.retryAfterMs > 0) this.#queue.dropSlots();
        await this.#note(this.#pace.throttled(told.retryAfterMs));
        this.#queue.wake();
        return 'nothing';
      case 'halt':
        return (await this.#halts.mark(told.scope, instanceId, told.code, told.message)) ? 'halted' : 'nothing';
      case 'void':
        this.#queue.late();
        if (isProbe) await this.#halts.probeAgain(instanceId);
        return 'nothing';
      case 'nothing':
        return 'nothing';
    }
  }

  async #giveBackProbe({ request: { instanceId }, probeMark }: Waiting<Call, Verdict>): Promise<void> {
    if (probeMark !== undefined) await this.#halts.giveBack(instanceId, probeMark);
  }

  async #hear(signals: number, halted: boolean): Promise<void> {
    this.#heardAtMs = performance.now();
    if (signals !== this.#signals || halted !== this.#halts.isAccountHalted) await this.#readAgain();
  }

  async #readAgain(): Promise<void> {
    const signals = await this.#halts.read();
    if (this.#isClosed) return;
    this.#sendAway();
    if (signals === this.#signals) return;
    this.#signals = signals;
    // Batches may have been paused or cancelled: waiting callers must learn of it before their turn.
    this.#queue.askForAll();
    this.#options.onSignals?.(signals);
  }

  /** Callers of what is halted go, but for those that are to probe; where all is stopped, these too. */
  #sendAway(): void {
    if (!this.#halts.any) return;
    const isStopped = ({ request }: Caller<Call>): boolean => this.#halts.judge(request.instanceId).kind !== 'go';
    for (const caller of this.#queue.takeIf(isStopped, this.#halts.stop === undefined ? NOT_TO_PROBE : RANKS)) {
      const refusal = this.#halts.refusal(caller.request.instanceId);
      if (refusal === undefined) this.#queue.putBack([caller]);
      else {
        void this.#giveBackProbe(caller);
        caller.resolve(refusal);
      }
    }
  }

  async #pollSignals(): Promise<void> {
    if (this.#options.redis.status !== 'ready' || performance.now() - this.#heardAtMs < SIGNALS_POLL_MS) return;
    await this.#note(this.#pace.poll().then(({ signals, halted }) => this.#hear(signals, halted)));
  }

  #note<Result>(work: Promise<Result>): Promise<Result | undefined> {
    return noted(work, (reason) => this.#unavailable(reason));
  }

  #unavailable(reason: unknown): void {
    const message = reason instanceof Error ? reason.message : String(reason);
    if (!this.#isClosed) this.#notices.post({ kind: 'redis-unavailable', count: 1, message });
  }

  readonly #onLoss = (): void => {
    this.#pace.lose();
    this.#queue.lose();
  };

  readonly #onReady = (): void => {
    this.#heardAtMs = Number.NEGATIVE_INFINITY;
    void this.#pollSignals();
    this.#queue.wake();
  };
}
