import type { Redis } from 'ioredis';
import type { Limiter, LimiterNotice, LimiterOptions } from '../../src/limiter/contract.ts';
import { openLimiter } from '../../src/limiter/limiter.ts';
import { connect } from '../../src/runtime/redis/connection.ts';
import { testRedis } from '../support/redis.ts';

/** A limiter on a connection of its own, as another process would have. */
export interface Member {
  readonly limiter: Limiter;
  readonly redis: Redis;
  readonly notices: LimiterNotice[];
  /** Resolves when the shared counter is seen to have reached the value. */
  heard(signals: number): Promise<void>;
}

export type MemberOptions = Pick<LimiterOptions, 'account' | 'egress'> & { readonly probeIntervalMs?: number };

/** The limiters of a test file, on the run's Redis. */
export class Fleet {
  readonly keys = testRedis();
  readonly #members: Member[] = [];

  async open(options: MemberOptions): Promise<Member> {
    const redis = connect({ options: this.keys.options }, 'worker', () => {});
    await new Promise((resolve) => redis.once('ready', resolve));
    const notices: LimiterNotice[] = [];
    let reached = 0;
    const listeners = new Set<() => void>();
    const limiter = openLimiter({
      redis,
      prefix: this.keys.prefix,
      lateMs: 25,
      ...options,
      onNotice: (notice) => notices.push(notice),
      onSignals(version) {
        reached = version;
        for (const listener of listeners) listener();
      },
    });
    const heard = (signals: number): Promise<void> =>
      new Promise((resolve) => {
        const listener = (): void => {
          if (reached < signals) return;
          listeners.delete(listener);
          resolve();
        };
        listeners.add(listener);
        listener();
      });
    const member = { limiter, redis, notices, heard };
    this.#members.push(member);
    return member;
  }

  /** Makes the clocks of these, so that the fence before their first slot is behind the tests. */
  async prime(all: readonly MemberOptions[]): Promise<void> {
    const members = await Promise.all(all.map((options) => this.open(options)));
    await Promise.all(members.map(({ limiter }) => limiter.take('any')));
    await this.closeAll();
  }

  async closeAll(): Promise<void> {
    for (const { limiter, redis } of this.#members.splice(0)) {
      await limiter.close();
      redis.disconnect();
    }
  }
}
