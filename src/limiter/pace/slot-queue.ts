import { mostInHand, PULSE_MS } from '../../core/pace.ts';
import type { CallNotes } from '../contract.ts';
import type { NoticeBoard } from '../notice-board.ts';
import { NotesOfCalls } from './notes-of-calls.ts';
import type { PaceStore, Reservation, Slot } from './pace-store.ts';
import { PulseLoop } from './pulse-loop.ts';
import { SlotAppetite, SlotCredit } from './slot-credit.ts';
import { SlotBuffer, type Placed } from './slot-buffer.ts';
import { NOT_TO_PROBE, WaitQueue, type Caller, type Rank } from './wait-queue.ts';

/** What the queue needs, and what it reports to. */
export interface SlotQueueParts<Call, Verdict, Waiting extends Caller<Call>> {
  readonly pace: PaceStore;
  readonly notes: CallNotes<Call, Verdict & { readonly kind: string }>;
  readonly notices: NoticeBoard;
  /** The process' own pace, calls a second. */
  readonly qps: number;
  /** Why Redis cannot be asked now; undefined where it can. */
  readonly away: () => string | undefined;
  readonly onPulse: () => void;
  readonly onTrouble: (reason: unknown) => void;
  /** What a pulse learned besides slots; resolves when callers that must not call are out of the queue. */
  readonly hear: (signals: number, halted: boolean) => Promise<void>;
  /** The caller's slot has come. @param verdict - undefined where nothing is noted of the call */
  readonly grant: (caller: Waiting, slot: Slot, verdict: Verdict | undefined) => void;
  /** By the notes, the caller must not call. */
  readonly refuse: (caller: Waiting, verdict: Verdict) => void;
}

/** Between two tries while Redis is unreachable or refuses. */
const RETRY_MS = 250;
/** How many waiting calls are asked for in one pulse after something changed: all that a process has, and less than Redis' Lua can unpack. */
const MOST_ASKED_FOR = 2_000;

/** Waiting callers, pulses that fetch slots for them, and the slots in hand: a caller is in exactly one of the three. */
export class SlotQueue<Call, Verdict, Waiting extends Caller<Call>> {
  readonly #parts: SlotQueueParts<Call, Verdict, Waiting>;
  readonly #queue = new WaitQueue<Waiting>();
  readonly #inHand = new SlotBuffer<Waiting, Verdict>(() => this.#serve());
  readonly #notes: NotesOfCalls<Call, Verdict, Waiting>;
  readonly #pulses: PulseLoop;
  readonly #credit: SlotCredit;
  readonly #appetite = new SlotAppetite();
  /** Counts losses of the connection: what was reserved before one is void. */
  #losses = 0;
  #taken = 0;
  /** Callers that a pulse has with it, until it ends. */
  #asking: readonly Waiting[] = [];
  #pulsing: Promise<number> = Promise.resolve(0);
  #mustAskForAll = false;
  #isClosed = false;

  constructor(parts: SlotQueueParts<Call, Verdict, Waiting>) {
    this.#parts = parts;
    this.#notes = new NotesOfCalls(parts.notes);
    this.#credit = new SlotCredit(parts.qps);
    this.#pulses = new PulseLoop(
      () => this.#wanted > 0 || this.#mustAskForAll,
      () => (this.#pulsing = this.#pulse()),
    );
  }

  get size(): number {
    return this.#queue.size + this.#inHand.size + this.#asking.length;
  }

  /** Callers whose slots came. */
  get taken(): number {
    return this.#taken;
  }

  /** Resolves when the pulse that is under way has ended. */
  get pulsing(): Promise<unknown> {
    return this.#pulsing;
  }

  push(caller: Waiting): void {
    this.#queue.push(caller);
    this.#pulses.start();
  }

  /** Takes out the callers of these ranks; callers that are to probe stay unless that is asked for. */
  takeIf(is: (caller: Waiting) => boolean, ranks: readonly Rank[] = NOT_TO_PROBE): Waiting[] {
    this.#putBack(this.#inHand.takeIf((caller) => ranks.includes(caller.rank) && is(caller)));
    return this.#queue.takeIf(is, ranks);
  }

  /** They had been taken out. */
  putBack(callers: readonly Waiting[]): void {
    this.#queue.putBack(callers);
  }

  /** With the next pulse, waiting callers learn what the notes say of their calls, even if there is no slot for them. */
  askForAll(): void {
    this.#mustAskForAll = this.#queue.size + this.#asking.length > 0;
    this.#pulses.start();
    this.#pulses.wake();
  }

  /** The slots in hand are void; their callers wait for others. */
  dropSlots(): void {
    this.#putBack(this.#inHand.clear());
    this.#pulses.start();
  }

  /** The connection is lost, and with it what was reserved over it. */
  lose(): void {
    this.#losses += 1;
    this.dropSlots();
  }

  wake(): void {
    this.#pulses.wake();
  }

  /** A caller's call did not leave in its slot. */
  late(): void {
    this.#appetite.late();
  }

  /** No slot is given any more. @returns those who wait, but for those that a pulse has with it */
  close(): Waiting[] {
    this.#isClosed = true;
    this.#pulses.stop();
    return [...this.#inHand.clear().map(({ caller }) => caller), ...this.#queue.take(Number.POSITIVE_INFINITY)];
  }

  /** After `close`: those that the last pulse had with it. */
  rest(): Waiting[] {
    return [...this.#asking, ...this.#queue.take(Number.POSITIVE_INFINITY)];
  }

  get #wanted(): number {
    return this.#isClosed ? 0 : this.#queue.size;
  }

  /** Lets those go whose slots have come; those whose slots ended unused wait for others. */
  #serve(): void {
    const nowMs = performance.now();
    const ended = this.#inHand.takeVoid(nowMs);
    this.#appetite.ended(ended.length);
    this.#putBack(ended);
    const due = this.#inHand.takeDue(nowMs);
    this.#appetite.used(due.length);
    this.#taken += due.length;
    for (const { caller, slot, verdict } of due) this.#parts.grant(caller, slot, verdict);
    this.#inHand.arm(nowMs);
    this.#pulses.start();
  }

  /** One pulse; answers with how long the next can wait. */
  async #pulse(): Promise<number> {
    const { pace, away, onPulse, onTrouble } = this.#parts;
    const isForAll = this.#mustAskForAll;
    const nowMs = performance.now();
    const room = mostInHand(this.#parts.qps) - this.#inHand.early(nowMs);
    const wanted = Math.min(this.#wanted, this.#credit.at(nowMs), this.#appetite.next(), room);
    if (wanted <= 0 && !isForAll) return Math.max(this.#inHand.neededInMs(), this.#credit.waitMs);
    const why = away();
    if (why !== undefined) {
      onTrouble(why);
      return RETRY_MS;
    }
    this.#mustAskForAll = false;
    const callers = this.#queue.take(isForAll ? MOST_ASKED_FOR : wanted);
    const question = this.#notes.ask(callers);
    this.#asking = callers;
    const losses = this.#losses;
    try {
      const probes = callers.filter(({ rank }) => rank === 'probe').length;
      const asked = pace.together(() => {
        const answer = pace.reserve({ count: Math.max(0, wanted), probes, notes: question.request });
        onPulse();
        return answer;
      });
      return await this.#place(callers, await asked, losses);
    } catch (error) {
      question.fail();
      this.#queue.putBack(callers);
      this.#mustAskForAll ||= isForAll;
      onTrouble(error);
      return RETRY_MS;
    } finally {
      this.#asking = [];
    }
  }

  async #place(callers: readonly Waiting[], reservation: Reservation, losses: number): Promise<number> {
    const { slots, signals, halted, roundTripMs, waitMs } = reservation;
    const { notices, hear, refuse, onTrouble } = this.#parts;
    this.#credit.spend(slots.length);
    const late = slots.filter(({ slot }) => slot === undefined).length;
    this.#appetite.ended(late);
    notices.post({ kind: 'reservation-late', count: late, roundTripMs });
    const isVoid = losses !== this.#losses || this.#isClosed;
    const placed = this.#placed(callers, reservation, isVoid);
    const refused = this.#notes.refused(callers, reservation.verdicts);
    for (const { caller, verdict } of refused) refuse(caller, verdict);
    const gone = new Set([...placed, ...refused].map(({ caller }) => caller));
    this.#queue.putBack(callers.filter((caller) => !gone.has(caller)));
    this.#inHand.put(placed);
    this.#asking = [];
    // Before any of them goes: a slot may be for someone who was stopped meanwhile.
    try {
      await hear(signals, halted);
    } catch (error) {
      // Which callers were stopped is not known.
      this.#putBack(this.#inHand.clear());
      onTrouble(error);
      return RETRY_MS;
    }
    if (this.#isClosed) this.#queue.putBack(this.#inHand.clear().map(({ caller }) => caller));
    else this.#serve();
    if (losses !== this.#losses) return 0;
    // Where others took all, a pulse at another moment finds its share.
    return slots.length > 0 ? Math.max(waitMs, this.#inHand.neededInMs()) : waitMs + Math.random() * PULSE_MS;
  }

  /** Those with a slot that can be used; the notes of the others must be taken back. */
  #placed(
    callers: readonly Waiting[],
    { slots, verdicts, claimEndMs }: Reservation,
    isVoid: boolean,
  ): Placed<Waiting, Verdict>[] {
    const placed: Placed<Waiting, Verdict>[] = [];
    const unused: Waiting[] = [];
    for (const { call: at, slot } of slots) {
      const caller = callers[at];
      if (caller === undefined) continue;
      const verdict = this.#notes.noted(caller, verdicts[at] ?? '', claimEndMs);
      if (slot !== undefined && !isVoid) placed.push({ caller, slot, verdict });
      else unused.push(caller);
    }
    this.#notes.takeBack(unused);
    return placed;
  }

  #putBack(placed: readonly Placed<Waiting>[]): void {
    if (placed.length === 0) return;
    this.#parts.notices.post({ kind: 'slots-void', count: placed.length });
    const callers = placed.map(({ caller }) => caller);
    this.#notes.takeBack(callers);
    this.#queue.putBack(callers);
  }
}
