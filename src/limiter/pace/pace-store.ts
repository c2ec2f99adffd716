import { HORIZON_MS, IN_HAND_MS } from '../../core/pace.ts';
import { script } from '../../runtime/redis/script.ts';
import { limiterKeys, type CallNotes, type LimiterOptions } from '../contract.ts';
import { markOf } from '../halts/halt-store.ts';
import { SERVER_TIME, throttleLua } from './clock-script.ts';
import { reserveLua } from './pace-script.ts';
import { ServerClockWatch } from './server-clock-watch.ts';

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
  /** In the order of their moments, each with the index of the call that it was given to; undefined where it came too late to be used. */
  readonly slots: readonly { readonly call: number; readonly slot: Slot | undefined }[];
  /** Of each call, what its notes say. */
  readonly verdicts: readonly string[];
  /** The end of the claims of calls that were noted now, milliseconds since 1970 by Redis' clock. */
  readonly claimEndMs: number;
  /** From the command to its answer. */
  readonly roundTripMs: number;
  /** How long until a further slot can be had, milliseconds. */
  readonly waitMs: number;
}

/** What is asked for in one pulse. */
export interface ReservationRequest {
  /** Slots wanted, at most as many as there are calls. */
  readonly count: number;
  /** How many of the calls are probes, which a halted account is given as well; they stand first. */
  readonly probes: number;
  /** Keys and JSON of the calls' notes. */
  readonly notes: { readonly keys: readonly string[]; readonly json: string };
}

/** Less than this is not time enough to send a call. */
export const SHORTEST_SLOT_MS = 1;

type Reply = readonly [
  signals: number,
  halted: number,
  waitUs: number,
  nowUs: number,
  momentsUs: readonly number[],
  served: readonly number[],
  verdicts: readonly string[],
  claimEndMs: string,
];

/** Weight of what was seen before, of the longest round trip and of how long the others' turns take: it is forgotten after some twenty answers. */
const KEPT = 0.9;

const throttle = script<null>(throttleLua(SERVER_TIME));

export type PaceStore = ReturnType<typeof openPaceStore>;

/** The slots of one account and egress address. Its functions reject with Redis' errors. */
export function openPaceStore(
  options: Pick<LimiterOptions, 'redis' | 'prefix' | 'account' | 'egress' | 'lateMs' | 'onRoundTrip'>,
  notes: Pick<CallNotes<never, never>, 'lua' | 'claimMs' | 'request'>,
) {
  const { redis, account, egress, lateMs } = options;
  const reserve = script<Reply>(reserveLua(SERVER_TIME, notes.lua));
  const keys = limiterKeys(options.prefix, account.name, egress.id);
  const reserveKeys = [keys.account, keys.egress, keys.halts, keys.signals];
  const pace = [account.qps, egress.qps, lateMs, markOf(account.name)];
  const watch = new ServerClockWatch(lateMs);
  let worstTripMs = 0;
  // In a Cluster the server may change without a word.
  const isOneOfMany = redis.isCluster;
  let isFirst = true;
  let losses = 0;
  let turnMs = 0;
  const aheadMs = (): number => Math.min(HORIZON_MS, IN_HAND_MS + worstTripMs + turnMs);
  const ask = async (request: ReservationRequest): Promise<Reservation> => {
    const askedMs = performance.now();
    const lost = losses;
    const wanted = watch.restMs(askedMs) > 0 ? 0 : request.count;
    const names = [request.probes, account.name, egress.id];
    const args = [
      wanted,
      ...pace,
      ...names,
      request.notes.json,
      notes.claimMs,
      aheadMs(),
      isFirst || isOneOfMany ? 1 : 0,
    ];
    const reply = await reserve(redis, [...reserveKeys, ...request.notes.keys], args);
    isFirst = losses !== lost;
    const answeredMs = performance.now();
    options.onRoundTrip?.(answeredMs - askedMs);
    worstTripMs = Math.max(answeredMs - askedMs, worstTripMs * KEPT);
    watch.observe(reply[3] / 1000, askedMs, answeredMs);
    const reservation = readReply(reply, askedMs, answeredMs);
    if (wanted > 0) turnMs = reservation.waitMs > 0 ? Math.min(HORIZON_MS, turnMs + IN_HAND_MS) : turnMs * KEPT;
    const waitMs = watch.restMs(answeredMs);
    if (waitMs === 0) return reservation;
    return { ...reservation, slots: reservation.slots.map(({ call }) => ({ call, slot: undefined })), waitMs };
  };
  return {
    /** The connection is lost: the next one may be to another server. */
    lose(): void {
      isFirst = true;
      losses += 1;
    },
    reserve: ask,
    /** What the work writes leaves as one packet, and its answers come as one: each packet wakes up Redis, and each answer this process. */
    together<Result>(work: () => Result): Result {
      const stream = 'stream' in redis ? redis.stream : undefined;
      stream?.cork();
      try {
        return work();
      } finally {
        stream?.uncork();
      }
    },
    /** What an answer tells beside slots. To be asked every second, so that a step of Redis' clock is not taken for the drift of long. */
    poll: () => ask({ count: 0, probes: 0, notes: notes.request([], []) }),
    async throttled(retryAfterMs: number): Promise<void> {
      await throttle(redis, [keys.account], [Math.max(0, retryAfterMs)]);
    },
  };
}

/**
 * Redis read its time somewhere between the question and the answer. So a slot begins, on our clock, no later than if that was at the answer,
 * and it ends no earlier than if that was at the question: the round trip is taken off the time to send in.
 */
export function readReply(reply: Reply, askedMs: number, answeredMs: number): Reservation {
  const [signals, halted, waitUs, , momentsUs, served, verdicts, claimEndMs] = reply;
  const slots = served.map((call, at) => {
    const fromMs = answeredMs + (momentsUs[2 * at] ?? 0) / 1000;
    const notAfterMs = askedMs + (momentsUs[2 * at + 1] ?? 0) / 1000;
    const isUsable = notAfterMs - fromMs >= SHORTEST_SLOT_MS;
    return { call: call - 1, slot: isUsable ? { fromMs, notAfterMs } : undefined };
  });
  return {
    signals,
    halted: halted === 1,
    slots,
    verdicts,
    claimEndMs: Number(claimEndMs),
    roundTripMs: answeredMs - askedMs,
    waitMs: waitUs / 1000,
  };
}
