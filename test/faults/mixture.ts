import { setTimeout as delay } from 'node:timers/promises';
import { pickOne, type Random } from '../../src/sandbox/seeded.ts';
import { EGRESSES, type Rig, type RigWorker } from '../support/rig.ts';

type WorkerOptions = NonNullable<Parameters<Rig['startWorker']>[0]>;

/** Brings a fault about on a rig with a batch at work, and ends it; the same chance brings the same one. */
export type Disturbance = (soaked: Soaked, random: Random) => Promise<unknown>;

/** A rig under a soak: which of its workers are alive changes all the time. */
export class Soaked {
  readonly rig: Rig;
  readonly batch: string;
  readonly #alive = new Set<RigWorker>();

  constructor(rig: Rig, batch: string) {
    this.rig = rig;
    this.batch = batch;
  }

  async start(egress: string, options: WorkerOptions = {}): Promise<void> {
    const settings = { callDeadlineMs: 2_000, ...options.settings };
    this.#alive.add(await this.rig.startWorker({ egress, ...options, settings }));
  }

  /** Ends one of the workers and starts another in its place. */
  async replace(random: Random, signal: NodeJS.Signals, options?: WorkerOptions): Promise<void> {
    const victim = this.anyone(random);
    if (victim !== undefined) {
      this.#alive.delete(victim);
      victim.kill(signal);
      await victim.ended;
    }
    await this.start(victim?.egress ?? EGRESSES[0], options);
  }

  anyone(random: Random): RigWorker | undefined {
    return [...this.#alive][Math.floor(random() * this.#alive.size)];
  }
}

/** Every fault that can be brought about beside others and takes nothing from the promises. */
const DISTURBANCES: readonly Disturbance[] = [
  (soaked, random) => soaked.replace(random, 'SIGKILL'),
  (soaked, random) => soaked.replace(random, 'SIGTERM'),
  (soaked, random) => soaked.start(pickOne(random, EGRESSES)),
  (soaked, random) => soaked.replace(random, 'SIGTERM', { node: ['stall.mjs'] }),
  ...['2000', '-2000'].map((shiftMs): Disturbance => (soaked, random) => {
    const env = { CLOCK_SHIFT_MS: shiftMs };
    return soaked.replace(random, 'SIGKILL', { node: ['clock-shift.mjs'], env });
  }),
  // The configuration changes: this one's slots are wider apart, and the stricter one rules.
  (soaked, random) => soaked.replace(random, 'SIGTERM', { settings: { limiter: { lateMs: 50 } } }),
  async (soaked, random) => {
    const sleeper = soaked.anyone(random);
    if (sleeper === undefined) return;
    process.kill(sleeper.pid, 'SIGSTOP');
    await delay(2_000 + random() * 6_000);
    process.kill(sleeper.pid, 'SIGCONT');
  },
  async ({ rig: { proxy } }) => proxy.cut(),
  async ({ rig: { proxy } }, random) => {
    proxy.delayMs = Math.ceil(random() * 30);
    await delay(1_500);
    proxy.delayMs = 0;
  },
  async ({ rig: { proxy } }) => {
    proxy.swallow = true;
    await delay(1_500);
    proxy.swallow = false;
    // What was swallowed is not sent again on these connections.
    proxy.cut();
  },
  async ({ rig: { proxy } }) => {
    proxy.down = true;
    await delay(1_500);
    proxy.down = false;
  },
  async ({ rig: { server } }) => {
    process.kill(server.serverPid(), 'SIGKILL');
    await server.restart();
  },
  ...(
    [
      ['min-replicas-to-write', '1'],
      ['maxmemory', '1mb'],
    ] as const
  ).map(([setting, refusing]): Disturbance => async ({ rig: { direct } }) => {
    await direct.config('SET', setting, refusing);
    await delay(1_000);
    await direct.config('SET', setting, '0');
  }),
  ({ rig, batch }) => rig.run(['dead', 'retry', '--batch', batch, '--yes']),
  async ({ rig, batch }) => {
    await rig.run(['pause', batch]);
    await delay(500);
    await rig.run(['resume', batch]);
  },
];

/** So many of them in an order of chance, each as often as the others. */
export function mixed(random: Random, count = DISTURBANCES.length): Disturbance[] {
  const mixture: Disturbance[] = [];
  while (mixture.length < count) {
    const drawn = DISTURBANCES.map((disturbance) => ({ disturbance, at: random() }));
    mixture.push(...drawn.toSorted((a, b) => a.at - b.at).map(({ disturbance }) => disturbance));
  }
  return mixture.slice(0, count);
}
