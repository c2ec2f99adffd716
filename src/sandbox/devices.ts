import type { ListedRegistry } from './listed-registry.ts';
import type { DeviceRecord } from './registry.ts';
import type { Random } from './seeded.ts';

/** Between two looks at who reconnects, milliseconds. */
const TICK_MS = 50;

export interface DevicesOptions {
  readonly registry: ListedRegistry;
  /** Reconnects a second, over all devices. */
  readonly perSecond: number;
  readonly random: Random;
  /** Milliseconds that never go back. */
  readonly nowMs: () => number;
}

/**
 * The devices behind the certificates. Some reconnect at random. One whose certificate is not registered is registered again, as a new one, while
 * its CA is registered and active; so says the documentation of the broker. One whose certificate is inactive stays out.
 */
export class Devices {
  readonly #options: DevicesOptions;
  /** Those that still have their key, but no registration. */
  readonly #gone: DeviceRecord[] = [];
  #timer: NodeJS.Timeout | undefined;
  #lastMs = 0;
  #due = 0;

  constructor(options: DevicesOptions) {
    this.#options = options;
  }

  /** A certificate was deleted; its device keeps its key. */
  lost(record: DeviceRecord): void {
    this.#gone.push(record);
  }

  start(): void {
    this.#lastMs = this.#options.nowMs();
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const { nowMs, perSecond } = this.#options;
    const now = nowMs();
    this.#due += ((now - this.#lastMs) * perSecond) / 1000;
    this.#lastMs = now;
    for (; this.#due >= 1; this.#due -= 1) this.reconnect();
  }

  /** One device, drawn from all, connects again. */
  reconnect(): void {
    const { registry, random } = this.#options;
    const drawn = Math.floor(random() * (registry.registeredCount + this.#gone.length));
    // A registered one comes back as it was.
    const device = this.#gone[drawn];
    if (device === undefined || registry.ca(device.instanceId, device.caSn)?.state !== 'active') return;
    const last = this.#gone.pop();
    if (last !== undefined && last !== device) this.#gone[drawn] = last;
    registry.register({ ...device, state: 'active' });
  }
}
