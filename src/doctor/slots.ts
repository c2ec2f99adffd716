import type { Redis } from 'ioredis';
import type { Limiter } from '../limiter/contract.ts';
import type { Halt } from '../limiter/halts/halt-store.ts';
import { STOPPED } from '../limiter/halts/stop.ts';
import { openLimiter } from '../limiter/limiter.ts';
import { KEY_PREFIX } from '../queue/contract.ts';
import type { AccountConfig, Config } from '../runtime/config/config.ts';

/** Longer than the fence a limiter begins behind on a Redis that it does not know. */
const WAIT_MS = 10_000;
/** No halt has it: the doctor also checks halted instances, and its slot counts against the account anyway. */
const NO_INSTANCE = '';

/** Waits for the right to make one call, before `notAfterMs` or not at all. A text says why there is none. */
export type TakeSlot = (account: AccountConfig) => Promise<{ readonly notAfterMs: number } | string>;

/**
 * Slots from the same clocks as the workers', so that even the doctor's calls stay under the quotas.
 * @param redis - of the `worker` role
 */
export function openSlots(
  redis: Redis,
  config: Config,
  halts: readonly Halt[],
): { readonly take: TakeSlot; readonly close: () => Promise<void> } {
  const { egress, limiter } = config;
  // One for all calls of an account: each begins with a second without a slot.
  const opened = new Map<string, Limiter>();
  const slotsOf = ({ name, qps }: AccountConfig): Limiter => {
    const isHalted = halts.some((halt) => halt.account === name && halt.instanceId === undefined);
    // A halted account gives slots to probes only, and those are the workers'. Nobody else calls for it meanwhile, so only the address' clock matters.
    const account = isHalted ? { name: `doctor:${name}`, qps: 1 } : { name, qps };
    const slots = openLimiter({ redis, prefix: KEY_PREFIX, account, egress, lateMs: limiter.lateMs });
    opened.set(name, slots);
    return slots;
  };
  return {
    async take(account) {
      const slots = opened.get(account.name) ?? slotsOf(account);
      // A caller that still waits then is told "closed".
      const timer = setTimeout(() => void slots.close(), WAIT_MS);
      const grant = await slots.take({ instanceId: NO_INSTANCE, isUrgent: true }).finally(() => clearTimeout(timer));
      switch (grant.kind) {
        case 'slot':
          return grant;
        case 'halted':
          return grant.code === STOPPED ? grant.message : 'the account has just been halted';
        case 'refused':
        case 'closed':
          return `no slot within ${WAIT_MS / 1_000} s: workers use all of them, or throttling holds the account`;
      }
    },
    async close() {
      await Promise.all([...opened.values()].map((slots) => slots.close()));
    },
  };
}
