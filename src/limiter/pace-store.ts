import type { Redis } from 'ioredis';
import { HORIZON_MS } from '../core/pace.ts';
import { script } from '../runtime/redis/script.ts';
import { accountKey, egressKey, limiterKeys, type LimiterOptions } from './contract.ts';
import { markOf } from './halt-store.ts';
import { readLua, reserveLua, SERVER_TIME, throttleLua } from './pace-script.ts';

/** The right to send one call, on the clock of `performance.now()`, milliseconds. */
export interface Slot {
  readonly fromMs: number;
  readonly notAfterMs: number;
}

export interface Reservation {
  /** Value of the signals counter. */
  readonly signals: number;
  /** The account is halted: slots were given for probes only. */
  readonly halted: boolean;
  /** In the order of their moments. */
  readonly slots: readonly Slot[];
  /** How many were given too late to be used. */
  readonly lost: number;
  /** From the command to its answer. */
  readonly roundTripMs: number;
  /** No further slot can be had for so long. */
  readonly waitMs: number;
}

/** Less than this is not time enough to send a call. */
export const SHORTEST_SLOT_MS = 1;

const reserve = script<number[]>(reserveLua(SERVER_TIME));
const throttle = script<null>(throttleLua(SERVER_TIME));

export type PaceStore = ReturnType<typeof openPaceStore>;

/** The slots of one account and egress address. Its functions reject with Redis' errors. */
export function openPaceStore(options: LimiterOptions) {
  const { redis, account, egress, lateMs } = options;
  const keys = limiterKeys(options.prefix, account.name, egress.id);
  const reserveKeys = [keys.account, keys.egress, keys.halts, keys.signals];
  const pace = [account.qps, egress.qps, lateMs, markOf(account.name)];
  const watch = new ServerClockWatch(lateMs);
  const ask = async (count: number, probes: number): Promise<Reservation> => {
    const askedMs = performance.now();
    const wanted = watch.restMs(askedMs) > 0 ? 0 : count;
    const reply = await reserve(redis, reserveKeys, [wanted, ...pace, probes, account.name, egress.id]);
    const answeredMs = performance.now();
    watch.observe((reply[3] ?? 0) / 1000, askedMs, answeredMs);
    const reservation = readReply(reply, askedMs, answeredMs);
    const waitMs = watch.restMs(answeredMs);
    if (waitMs === 0) return reservation;
    return { ...reservation, slots: [], lost: reservation.lost + reservation.slots.length, waitMs };
  };
  return {
    /**
     * @param count - slots wanted, at least 1
     * @param probes - how many of them are for probes, which a halted account is given as well
     */
    reserve: ask,
    /** What an answer tells beside slots. To be asked every second, so that a step of Redis' clock is not taken for the drift of long. */
    look: () => ask(0, 0),
    async throttled(retryAfterMs: number): Promise<void> {
      await throttle(redis, [keys.account], [Math.max(0, retryAfterMs)]);
    },
  };
}

/**
 * Redis read its time somewhere between the question and the answer. So a slot begins, on our clock, no later than if that was at the answer,
 * and it ends no earlier than if that was at the question: the round trip is taken off the time to send in.
 */
export function readReply(reply: readonly number[], askedMs: number, answeredMs: number): Reservation {
  const [signals = 0, halted = 0, waitUs = 0, _nowUs, ...momentsUs] = reply;
  const slots: Slot[] = [];
  for (let at = 0; at + 1 < momentsUs.length; at += 2) {
    const fromMs = answeredMs + (momentsUs[at] ?? 0) / 1000;
    const notAfterMs = askedMs + (momentsUs[at + 1] ?? 0) / 1000;
    if (notAfterMs - fromMs >= SHORTEST_SLOT_MS) slots.push({ fromMs, notAfterMs });
  }
  return {
    signals,
    halted: halted === 1,
    slots,
    lost: momentsUs.length / 2 - slots.length,
    roundTripMs: answeredMs - askedMs,
    waitMs: waitUs / 1000,
  };
}

/** Two clocks that run freely drift apart by less than this share, */
const DRIFT = 0.001;
/** and a step of Redis' clock by less than this adds a call or two, milliseconds. */
const STEP_MS = 5;
/** After so long without an answer, drift could pass for a step, and a step for drift. */
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

/** How fast an account or an egress address may go at present. */
export interface Pace {
  /** The strictest configuration of late, calls a second. */
  readonly qps: number;
  /** Share of it in use: below 1 after throttling answers. */
  readonly factor: number;
  /** Stopped by a throttling answer for so long, milliseconds. */
  readonly heldForMs: number;
  /** Slots given since the clock began; two readings make a rate. */
  readonly given: number;
}

const read = script<[qps: string, factor: string, heldForMs: number, given: string] | null>(readLua(SERVER_TIME));

/** For a status page; undefined where nothing was called for a day. */
export async function readPace(
  redis: Redis,
  prefix: string,
  of: { readonly account: string } | { readonly egress: string },
): Promise<Pace | undefined> {
  const reply = await read(
    redis,
    ['account' in of ? accountKey(prefix, of.account) : egressKey(prefix, of.egress)],
    [],
  );
  if (reply === null) return undefined;
  const [qps, factor, heldForMs, given] = reply;
  return { qps: Number(qps), factor: Number(factor), heldForMs, given: Number(given) };
}
