import type { HaltScope } from '../core/decide.ts';
import { PULSE_MS } from '../core/pace.ts';
import type { Grant, Limiter, LimiterOptions } from './contract.ts';
import { openHaltStore, type HaltStore } from './halt-store.ts';
import { HaltView } from './halt-view.ts';
import { noted } from './noted.ts';
import { NoticeBoard } from './notice-board.ts';
import { openPaceStore, type PaceStore, type Reservation } from './pace-store.ts';
import { PulseLoop, SlotCredit } from './pulse-loop.ts';
import { SlotShelf } from './slot-shelf.ts';
import { WaitingLine, type Caller, type Lane } from './waiting-line.ts';

/** Between two probes of a halt, where nothing else is given, milliseconds. */
export const PROBE_INTERVAL_MS = 30_000;
/** Without an answer that told the signals counter and Redis' time for so long, they are read. */
const SIGNALS_POLL_MS = 1_000;
/** Between two tries while Redis is unreachable or refuses. */
const RETRY_MS = 250;

/** Starts a limiter; it makes use of the connection and leaves it open. */
export function openLimiter(options: LimiterOptions): Limiter {
  return new SlotLimiter(options);
}

class SlotLimiter implements Limiter {
  readonly #options: LimiterOptions;
  readonly #pace: PaceStore;
  readonly #haltStore: HaltStore;
  readonly #halts: HaltView;
  readonly #line = new WaitingLine();
  readonly #shelf = new SlotShelf(() => this.#serve());
  readonly #pulses: PulseLoop;
  readonly #notices: NoticeBoard;
  readonly #credit: SlotCredit;
  readonly #probeIntervalMs: number;
  readonly #poll: NodeJS.Timeout;
  /** What stands for the probes that this limiter gave out and that have not been answered, by instance. */
  readonly #probing = new Map<string, string>();
  #signals: number | undefined;
  #heardAtMs = Number.NEGATIVE_INFINITY;
  /** Counts losses of the connection: what was reserved before one is void. */
  #losses = 0;
  #isClosed = false;

  constructor(options: LimiterOptions) {
    this.#options = options;
    this.#probeIntervalMs = options.probeIntervalMs ?? PROBE_INTERVAL_MS;
    this.#halts = new HaltView(this.#probeIntervalMs);
    this.#pace = openPaceStore(options);
    this.#haltStore = openHaltStore(options, this.#probeIntervalMs);
    this.#notices = new NoticeBoard(options.onNotice?.bind(options));
    this.#credit = new SlotCredit(Math.min(options.account.qps, options.egress.qps));
    this.#pulses = new PulseLoop(
      () => this.#wanted > 0,
      () => this.#pulse(),
    );
    options.redis.on('close', this.#onLoss);
    options.redis.on('ready', this.#onReady);
    this.#poll = setInterval(() => void this.#pollSignals(), SIGNALS_POLL_MS).unref();
    void this.#pollSignals();
  }

  get waiting(): number {
    return this.#line.size;
  }

  async take(instanceId: string, urgent = false, onNear?: () => void): Promise<Grant> {
    if (this.#isClosed) return { kind: 'closed' };
    const judgement = this.#halts.judge(instanceId, performance.now());
    switch (judgement.kind) {
      case 'go':
        return this.#wait(urgent ? 'urgent' : 'bulk', { instanceId, onNear });
      case 'halted':
        return judgement;
      case 'probe-due':
        return this.#probe(instanceId, urgent, onNear);
    }
  }

  async throttled(retryAfterMs: number): Promise<void> {
    if (retryAfterMs > 0) this.#shelf.clear();
    await this.#note(this.#pace.throttled(retryAfterMs));
    this.#pulses.start();
  }

  async halt(scope: HaltScope, instanceId: string, code: string, message: string): Promise<boolean> {
    this.#probing.delete(instanceId);
    const isNew = await this.#note(this.#haltStore.mark(scope, instanceId, code, message));
    if (isNew === true) await this.#note(this.#lookAgain());
    return isNew ?? false;
  }

  async lift(instanceId: string): Promise<boolean> {
    if (!this.#probing.delete(instanceId)) return false;
    const wasHalted = await this.#note(this.#haltStore.unmark(instanceId));
    if (wasHalted === true) await this.#note(this.#lookAgain());
    return wasHalted ?? false;
  }

  async probeAgain(instanceId: string): Promise<void> {
    const probeMark = this.#probing.get(instanceId);
    if (this.#probing.delete(instanceId)) await this.#giveBack({ instanceId, probeMark });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#poll);
    this.#options.redis.off('close', this.#onLoss);
    this.#options.redis.off('ready', this.#onReady);
    this.#shelf.clear();
    this.#pulses.stop();
    const probers = this.#line.close();
    if (this.#options.redis.status === 'ready') await Promise.all(probers.map((prober) => this.#giveBack(prober)));
  }

  /** Slots to ask for: those in hand are on their way to a caller. */
  get #wanted(): number {
    return this.#isClosed ? 0 : this.#line.size - this.#shelf.size;
  }

  #wait(lane: Lane, caller: Omit<Caller, 'resolve'>): Promise<Grant> {
    // Slots that ended while nobody waited were not lost.
    if (this.#line.size === 0) this.#shelf.dropVoid(performance.now());
    return new Promise((resolve) => {
      this.#line.join(lane, { ...caller, resolve });
      this.#serve();
    });
  }

  /** Gives the slots whose moment has come to those who wait. */
  #serve(): void {
    while (this.#line.size > 0) {
      const nowMs = performance.now();
      this.#notices.post({ kind: 'slots-void', count: this.#shelf.dropVoid(nowMs) });
      const slot = this.#shelf.takeDue(nowMs);
      if (slot === undefined) {
        this.#line.tellNear(this.#shelf.near(nowMs));
        this.#shelf.arm(nowMs);
        break;
      }
      const caller = this.#line.next();
      if (caller === undefined) break;
      const { instanceId, probeMark } = caller;
      if (probeMark !== undefined) this.#probing.set(instanceId, probeMark);
      caller.resolve({ kind: 'slot', notAfterMs: slot.notAfterMs, probe: probeMark !== undefined });
    }
    this.#pulses.start();
  }

  /** One pulse; answers with how long the next can wait. */
  async #pulse(): Promise<number> {
    const wanted = Math.min(this.#wanted, this.#credit.at(performance.now()));
    if (wanted <= 0) return PULSE_MS;
    const { redis } = this.#options;
    if (redis.status !== 'ready') {
      this.#unavailable(`the connection is ${redis.status}`);
      return RETRY_MS;
    }
    const losses = this.#losses;
    try {
      const reservation = await this.#pace.reserve(wanted, this.#line.probes);
      this.#credit.spend(reservation.slots.length + reservation.lost);
      // Before anyone gets one: a slot may be for someone who was stopped meanwhile.
      await this.#hear(reservation.signals, reservation.halted);
      return losses === this.#losses ? this.#shelve(reservation) : 0;
    } catch (error) {
      this.#unavailable(error);
      return RETRY_MS;
    }
  }

  #shelve(reservation: Reservation): number {
    const { halted, slots, lost, roundTripMs, waitMs } = reservation;
    this.#notices.post({ kind: 'reservation-late', count: lost, roundTripMs });
    // Halted since: those slots were not for probes.
    if (this.#isClosed || this.#halts.isAccountHalted !== halted) return 0;
    this.#shelf.put(slots);
    this.#serve();
    // Where others took all, a pulse at another moment finds its share.
    return slots.length + lost > 0 ? waitMs : waitMs + Math.random() * PULSE_MS;
  }

  async #probe(instanceId: string, urgent: boolean, onNear: (() => void) | undefined): Promise<Grant> {
    // The others of this process need not ask as well.
    this.#halts.setProbe(instanceId, performance.now() + this.#probeIntervalMs);
    const trial = this.#options.redis.status === 'ready' ? this.#haltStore.tryProbe(instanceId) : undefined;
    const tried = trial === undefined ? undefined : await this.#note(trial);
    if (tried?.kind === 'granted' && !this.#isClosed) {
      return this.#wait('probe', { instanceId, onNear, probeMark: tried.probeMark });
    }
    // Closed meanwhile, or granted after nobody waited for it any more.
    void trial?.then(
      (late) => (late.kind === 'granted' ? this.#giveBack({ instanceId, probeMark: late.probeMark }) : undefined),
      () => undefined,
    );
    if (tried?.kind === 'not-halted') await this.#note(this.#lookAgain());
    const waitMs = tried?.kind === 'taken' ? tried.waitMs : SIGNALS_POLL_MS;
    this.#halts.setProbe(instanceId, performance.now() + waitMs);
    return this.take(instanceId, urgent, onNear);
  }

  async #giveBack({ instanceId, probeMark }: Omit<Caller, 'resolve'>): Promise<void> {
    if (probeMark === undefined) return;
    await this.#note(this.#haltStore.giveBack(instanceId, probeMark));
    await this.#note(this.#lookAgain());
  }

  async #hear(signals: number, halted: boolean): Promise<void> {
    this.#heardAtMs = performance.now();
    if (signals !== this.#signals || halted !== this.#halts.isAccountHalted) await this.#lookAgain();
  }

  async #lookAgain(): Promise<void> {
    const seen = await this.#haltStore.look();
    if (this.#isClosed) return;
    this.#halts.learn(seen, performance.now());
    if (this.#halts.isAccountHalted) this.#shelf.clear();
    this.#line.sendAway((instanceId) => this.#halts.refusal(instanceId, performance.now()));
    if (seen.signals === this.#signals) return;
    this.#signals = seen.signals;
    this.#options.onSignals?.(seen.signals);
  }

  async #pollSignals(): Promise<void> {
    if (this.#options.redis.status !== 'ready' || performance.now() - this.#heardAtMs < SIGNALS_POLL_MS) return;
    await this.#note(this.#pace.look().then(({ signals, halted }) => this.#hear(signals, halted)));
  }

  #note<Result>(work: Promise<Result>): Promise<Result | undefined> {
    return noted(work, (reason) => this.#unavailable(reason));
  }

  #unavailable(reason: unknown): void {
    const message = reason instanceof Error ? reason.message : String(reason);
    if (!this.#isClosed) this.#notices.post({ kind: 'redis-unavailable', count: 1, message });
  }

  readonly #onLoss = (): void => {
    this.#losses += 1;
    this.#notices.post({ kind: 'slots-void', count: this.#shelf.clear() });
    this.#pulses.start();
  };

  readonly #onReady = (): void => {
    this.#heardAtMs = Number.NEGATIVE_INFINITY;
    void this.#pollSignals();
    this.#pulses.wake();
  };
}
