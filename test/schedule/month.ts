import { expect } from 'vitest';
import { HOUR_MS, MINUTE_MS, RULE, Ticking, type Host } from './ticking.ts';

export interface MonthOptions {
  readonly days: number;
  readonly everyHours: number;
  readonly kills: number;
  /** Decides who is killed when. */
  readonly random: () => number;
}

/** So far behind the due minute both hosts are looked after again: a claim of a dead one has run out by then. */
const SETTLED_AFTER_MINUTES = 3;

/**
 * Goes through the minutes of some days with two hosts, and kills them around the due second, in the middle of what they are at. Each occurrence must
 * have exactly one batch at the end.
 * @returns how often a host was killed, and how many occurrences there were
 */
export async function passMonth({
  days,
  everyHours,
  kills,
  random,
}: MonthOptions): Promise<{ kills: number; occurrences: number }> {
  const room = await Ticking.open();
  try {
    const rule = { ...RULE, cron: `0 */${everyHours} * * *`, catchUpForMs: everyHours * HOUR_MS };
    const { claim } = room.ledger.keys.schedule(rule.name);
    const hosts: [Host, Host] = [room.host(rule), room.host(rule)];
    const occurrences = (days * 24) / everyHours;
    let killed = 0;
    const kill = (which: 0 | 1): void => {
      killed += 1;
      hosts[which].kill();
    };
    // A killed host's claim stands until it runs out; here its time has run out at once.
    const startAgain = async (which: 0 | 1): Promise<void> => {
      hosts[which] = room.host(rule);
      await room.redis.del(claim);
    };
    await hosts[0].tick();
    const start = room.nowMs;
    let left = kills;
    for (let minute = 1; minute <= days * 24 * 60; minute += 1) {
      room.nowMs = start + minute * MINUTE_MS;
      const isDue = room.nowMs % (everyHours * HOUR_MS) === 0;
      const share = left / Math.max(1, occurrences - Math.floor((minute - 1) / (everyHours * 60)));
      const victims = isDue ? victimsOf(share, random) : [];
      left -= victims.length;
      for (const which of victims) {
        // In the middle of whatever the host is at: some hundred microseconds to some milliseconds of round trips.
        const steps = Math.floor(random() * 24);
        void (async () => {
          for (let step = 0; step < steps; step += 1) await room.redis.ping().catch(() => undefined);
          kill(which);
        })();
      }
      await Promise.all(hosts.map((host) => host.tick().catch(() => undefined)));
      for (const which of victims) {
        await waitFor(() => killed >= kills - left);
        await startAgain(which);
      }
      if (victims.length > 0) await Promise.all(hosts.map((host) => host.tick()));
      // Its batch is done before the next one is due.
      if (room.nowMs % (everyHours * HOUR_MS) === SETTLED_AFTER_MINUTES * MINUTE_MS) await room.finishBatches();
    }
    const ends = await room.schedules.history(rule.name, 1_000);
    expect(ends.filter(({ state }) => state !== 'activated')).toEqual([]);
    expect(new Set(ends.map(({ occurrence }) => occurrence)).size).toBe(occurrences);
    expect(new Set(ends.map(({ batch }) => batch)).size).toBe(occurrences);
    // What a killed host had written and not activated is a plan, which goes away by itself.
    const batches = (await room.ledger.batches.all()).filter(({ state }) => state !== 'planned');
    expect(batches).toHaveLength(occurrences);
    return { kills: killed, occurrences };
  } finally {
    await room.cleanup();
  }
}

/** None, one or both, so that on average there are so many. */
function victimsOf(share: number, random: () => number): (0 | 1)[] {
  return ([0, 1] as const).filter(() => random() < share / 2);
}

async function waitFor(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
