import type { Redis } from 'ioredis';
import type {
  CallNotes,
  CallRequest,
  Limiter,
  LimiterNotice,
  LimiterOptions,
  SlotGrant,
} from '../../src/limiter/contract.ts';
import { openLimiter } from '../../src/limiter/limiter.ts';
import { connect } from '../../src/runtime/redis/connection.ts';
import { testRedis } from '../support/redis.ts';

/** A limiter on a connection of its own, as another process would have. */
export interface Member<Call = never, Verdict extends { readonly kind: string } = never> {
  readonly limiter: Limiter<Call, Verdict>;
  readonly redis: Redis;
  readonly notices: LimiterNotice[];
  /** Resolves when the shared counter is seen to have reached the value. */
  heard(signals: number): Promise<void>;
}

export type MemberOptions = Pick<LimiterOptions, 'account' | 'egress' | 'probeIntervalMs' | 'onPulse' | 'onStop'> &
  Partial<Pick<LimiterOptions, 'lateMs'>>;

/** A call of no instance in particular. */
export const ANY = { instanceId: 'any', isUrgent: false } as const;

/** The limiters of a test file, on the run's Redis. */
export class Fleet {
  readonly keys = testRedis();
  readonly #members: { readonly limiter: Pick<Limiter, 'close'>; readonly redis: Redis }[] = [];

  open(options: MemberOptions): Promise<Member> {
    return this.#open<never, never>(options, (given) => openLimiter(given));
  }

  /** One that notes its calls. */
  openNoted<Call, Verdict extends { readonly kind: string }>(
    options: MemberOptions,
    notes: CallNotes<Call, Verdict>,
  ): Promise<Member<Call, Verdict>> {
    return this.#open(options, (given) => openLimiter(given, notes));
  }

  async #open<Call, Verdict extends { readonly kind: string }>(
    options: MemberOptions,
    start: (options: LimiterOptions) => Limiter<Call, Verdict>,
  ): Promise<Member<Call, Verdict>> {
    const redis = connect({ options: this.keys.options }, 'worker', () => {});
    await new Promise((resolve) => redis.once('ready', resolve));
    const notices: LimiterNotice[] = [];
    let reached = 0;
    const listeners = new Set<() => void>();
    const limiter = start({
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
    await Promise.all(members.map(({ limiter }) => limiter.take(ANY)));
    await this.closeAll();
  }

  async closeAll(): Promise<void> {
    for (const { limiter, redis } of this.#members.splice(0)) {
      await limiter.close();
      redis.disconnect();
    }
  }
}

/** A slot of the limiter; it is an error where there is none. */
export async function slotOf<Call, Verdict extends { readonly kind: string }>(
  limiter: Pick<Limiter<Call, Verdict>, 'take'>,
  request: CallRequest<Call> = ANY,
): Promise<SlotGrant<Verdict>> {
  const grant = await limiter.take(request);
  if (grant.kind !== 'slot') throw new Error(`no slot, but ${JSON.stringify(grant)}`);
  return grant;
}
