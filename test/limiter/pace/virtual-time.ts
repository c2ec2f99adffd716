import type { Redis } from 'ioredis';
import { auditKeys } from '../../../src/audit/entry.ts';
import { auditNote } from '../../../src/audit/note.ts';
import { limiterKeys } from '../../../src/limiter/contract.ts';
import { markOf } from '../../../src/limiter/halts/halt-store.ts';
import { throttleLua, type TimeSource } from '../../../src/limiter/pace/clock-script.ts';
import { lowerLua } from '../../../src/limiter/pace/lowered-pace.ts';
import { reserveLua } from '../../../src/limiter/pace/pace-script.ts';
import { ServerClockWatch } from '../../../src/limiter/pace/server-clock-watch.ts';
import { script } from '../../../src/runtime/redis/script.ts';

/** The scripts with the time and the server's run id as their last two arguments. */
const VIRTUAL_TIME: TimeSource = {
  now: 'local now = tonumber(ARGV[#ARGV - 1])',
  run: 'local function currentRun() return ARGV[#ARGV] end',
};

/** How far ahead a process asks, milliseconds. */
export const AHEAD_MS = 50;

/** Every call may be made, and nothing is noted. */
const ALL_MAY_GO = `local function openCalls(request)
  local verdicts, callable = {}, {}
  for at = 1, request.count do verdicts[at], callable[at] = 'go', at end
  return verdicts, callable, function() end
end`;

type Reply = readonly [signals: number, halted: number, waitUs: number, nowUs: number, momentsUs: readonly number[]];

const reserve = script<Reply>(reserveLua(VIRTUAL_TIME, ALL_MAY_GO));
const throttle = script<null>(throttleLua(VIRTUAL_TIME));
const lower = script<string>(lowerLua(VIRTUAL_TIME));

export interface Asker {
  readonly account: string;
  readonly accountQps: number;
  readonly egress: string;
  readonly egressQps: number;
  readonly lateMs: number;
}

/** A slot on the real time line, microseconds. */
export interface GivenSlot {
  readonly fromUs: number;
  readonly endUs: number;
}

export const SECOND_US = 1_000_000;

/** A process that asks for slots, as `PaceStore` does. */
export class VirtualProcess {
  readonly asker: Asker;
  readonly #time: VirtualTime;
  #watch: ServerClockWatch;
  #lookedUs = Number.NEGATIVE_INFINITY;

  constructor(time: VirtualTime, asker: Asker) {
    this.#time = time;
    this.asker = asker;
    this.#watch = new ServerClockWatch(asker.lateMs);
  }

  /** Another process in its place. */
  restart(): void {
    this.#watch = new ServerClockWatch(this.asker.lateMs);
    this.#lookedUs = Number.NEGATIVE_INFINITY;
  }

  async reserve(count: number): Promise<GivenSlot[]> {
    const nowMs = this.#time.nowUs / 1000;
    const { slots, serverUs } = await this.#time.reserve(this.asker, this.#watch.restMs(nowMs) > 0 ? 0 : count);
    this.#watch.observe(serverUs / 1000, nowMs, nowMs);
    this.#lookedUs = this.#time.nowUs;
    return this.#watch.restMs(nowMs) > 0 ? [] : slots;
  }

  /** What it does every second. */
  async lookIfDue(): Promise<void> {
    if (this.#time.nowUs - this.#lookedUs >= SECOND_US) await this.reserve(0);
  }
}

/** The scripts on the real Redis, on a time line of our own. */
export class VirtualTime {
  readonly #redis: Redis;
  readonly #prefix: string;
  /** Real time, microseconds. */
  nowUs = 0;
  /** Redis' clock minus real time. */
  offsetUs = 1_800_000_000_000_000;
  run = 'first';

  constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  /** @param probes - how many of the calls are probes */
  async reserve(
    asker: Asker,
    count: number,
    probes = 0,
  ): Promise<{ slots: GivenSlot[]; waitUs: number; serverUs: number }> {
    const keys = limiterKeys(this.#prefix, asker.account, asker.egress);
    const reply = await reserve(
      this.#redis,
      [keys.account, keys.egress, keys.halts, keys.signals],
      [
        count,
        asker.accountQps,
        asker.egressQps,
        asker.lateMs,
        markOf(asker.account),
        probes,
        asker.account,
        asker.egress,
        JSON.stringify({ count }),
        0,
        AHEAD_MS,
        1,
        ...this.#time(),
      ],
    );
    const [, , waitUs, serverUs, momentsUs] = reply;
    const slots: GivenSlot[] = [];
    for (let at = 0; at + 1 < momentsUs.length; at += 2) {
      slots.push({ fromUs: this.nowUs + (momentsUs[at] ?? 0), endUs: this.nowUs + (momentsUs[at + 1] ?? 0) });
    }
    return { slots, waitUs, serverUs };
  }

  async throttled(account: string, retryAfterMs: number): Promise<void> {
    await throttle(this.#redis, [limiterKeys(this.#prefix, account, '').account], [retryAfterMs, ...this.#time()]);
  }

  /** An operator lowers the pace of the account. */
  async lower(account: string, qps: number, forMs: number): Promise<void> {
    const { stream, head } = auditKeys(this.#prefix);
    const keys = [limiterKeys(this.#prefix, account, '').account, stream, head];
    const note = auditNote({ event: 'pace', reason: 'a test' });
    await lower(this.#redis, keys, [qps, forMs, note, '{}', ...this.#time()]);
  }

  /** What a flush does. */
  async loseClocks(of: Pick<Asker, 'account' | 'egress'>): Promise<void> {
    const { account, egress } = limiterKeys(this.#prefix, of.account, of.egress);
    await this.#redis.del(account, egress);
  }

  #time(): string[] {
    return [String(this.nowUs + this.offsetUs), this.run];
  }
}
