const SECOND_MS = 1000;
const FIRST_CAPACITY = 1024;

/**
 * Counts arrivals in the half-open second that ends with the latest one, exactly, O(1) amortised. Times must not decrease.
 * Memory follows the busiest second seen, eight bytes a call.
 */
export class SlidingSecond {
  #times = new Float64Array(FIRST_CAPACITY);
  #first = 0;
  #count = 0;
  #worst = 0;

  /** The most arrivals in any sliding second so far. */
  get worst(): number {
    return this.#worst;
  }

  /** Arrivals in the second before `nowMs`. */
  countAt(nowMs: number): number {
    while (this.#count > 0 && nowMs - (this.#times[this.#first] ?? 0) >= SECOND_MS) {
      this.#first = (this.#first + 1) % this.#times.length;
      this.#count -= 1;
    }
    return this.#count;
  }

  /** Records an arrival; answers with the number in the second that ends with it, itself included. */
  arrive(nowMs: number): number {
    this.countAt(nowMs);
    if (this.#count === this.#times.length) this.#grow();
    this.#times[(this.#first + this.#count) % this.#times.length] = nowMs;
    this.#count += 1;
    this.#worst = Math.max(this.#worst, this.#count);
    return this.#count;
  }

  #grow(): void {
    const grown = new Float64Array(this.#times.length * 2);
    grown.set(this.#times.subarray(this.#first));
    grown.set(this.#times.subarray(0, this.#first), this.#times.length - this.#first);
    this.#times = grown;
    this.#first = 0;
  }
}

export interface QuotaLimits {
  /** Calls a second and account before `Throttling.User`. */
  readonly accountQps: number;
  /** Calls a second and source address, over all accounts and operations, before the address is blocked. */
  readonly egressQps: number;
  /** How long a block lasts, milliseconds. */
  readonly blockMs: number;
}

export interface AccountSeen {
  readonly calls: number;
  /** The most calls in any sliding second, refused ones included. */
  readonly worstSecond: number;
  /** Calls beyond the quota, refused or, where quotas are only counted, let through. */
  readonly overQuota: number;
}

export interface EgressSeen extends AccountSeen {
  /** Times the address went over its quota and was, or would have been, blocked. */
  readonly blocks: number;
  /** Whether it is blocked at present. */
  readonly blocked: boolean;
}

/** The quota of each account. A throttled call counts as seen, but does not use the quota. */
export class AccountQuotas {
  readonly #qps: number;
  readonly #accounts = new Map<string, { calls: number; overQuota: number; seen: SlidingSecond; let: SlidingSecond }>();

  constructor(qps: number) {
    this.#qps = qps;
  }

  /** Records a call; false where it is beyond the quota. */
  admit(account: string, nowMs: number): boolean {
    let row = this.#accounts.get(account);
    if (row === undefined) {
      row = { calls: 0, overQuota: 0, seen: new SlidingSecond(), let: new SlidingSecond() };
      this.#accounts.set(account, row);
    }
    row.calls += 1;
    row.seen.arrive(nowMs);
    if (row.let.countAt(nowMs) >= this.#qps) {
      row.overQuota += 1;
      return false;
    }
    row.let.arrive(nowMs);
    return true;
  }

  seen(): Record<string, AccountSeen> {
    const rows = [...this.#accounts].map(([account, { calls, overQuota, seen }]): [string, AccountSeen] => [
      account,
      { calls, worstSecond: seen.worst, overQuota },
    ]);
    return Object.fromEntries(rows);
  }
}

/** The quota of each source address: one call too many and the address is blocked for a time. */
export class EgressQuotas {
  readonly #limits: QuotaLimits;
  readonly #addresses = new Map<
    string,
    { calls: number; overQuota: number; blocks: number; blockedUntilMs: number; seen: SlidingSecond }
  >();

  constructor(limits: QuotaLimits) {
    this.#limits = limits;
  }

  /** Records a call; false while the address is blocked, the call that brought the block included. */
  admit(address: string, nowMs: number): boolean {
    let row = this.#addresses.get(address);
    if (row === undefined) {
      const seen = new SlidingSecond();
      row = { calls: 0, overQuota: 0, blocks: 0, blockedUntilMs: Number.NEGATIVE_INFINITY, seen };
      this.#addresses.set(address, row);
    }
    row.calls += 1;
    const over = row.seen.arrive(nowMs) > this.#limits.egressQps;
    if (over) row.overQuota += 1;
    if (nowMs < row.blockedUntilMs) return false;
    if (!over) return true;
    row.blocks += 1;
    row.blockedUntilMs = nowMs + this.#limits.blockMs;
    return false;
  }

  seen(nowMs: number): Record<string, EgressSeen> {
    const rows = [...this.#addresses].map(([address, row]): [string, EgressSeen] => [
      address,
      {
        calls: row.calls,
        worstSecond: row.seen.worst,
        overQuota: row.overQuota,
        blocks: row.blocks,
        blocked: nowMs < row.blockedUntilMs,
      },
    ]);
    return Object.fromEntries(rows);
  }
}
