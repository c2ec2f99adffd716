import { Devices } from './devices.ts';
import { listedRegistry, type ListedRegistry, type NewCa, type NewDevice } from './listed-registry.ts';
import type { ListingOrder } from './listing-order.ts';
import { openRegistry } from './open-registry.ts';
import type { Registry } from './registry.ts';
import { seededRandom } from './seeded.ts';

/** What exists, and what becomes of it by itself. */
export interface PopulationOptions {
  /** `open`: every certificate exists until deleted. Otherwise these exist; a CA needs to be named only where there is more to say of it. */
  readonly registry: 'open' | Iterable<NewDevice | NewCa> | AsyncIterable<NewDevice | NewCa>;
  /** Of the listings; default oldest first. */
  readonly order?: ListingOrder;
  /** So many devices reconnect each second, drawn from all; default none. An open registry knows no devices. */
  readonly devicesPerSecond?: number;
}

export interface Population {
  readonly registry: Registry;
  /** The same, where it knows what it holds. */
  readonly listed: ListedRegistry | undefined;
  readonly devices: Devices | undefined;
}

/** @param nowMs - milliseconds that never go back */
export async function populate(
  { registry: given, order, devicesPerSecond = 0 }: PopulationOptions,
  seed: number,
  nowMs: () => number,
): Promise<Population> {
  if (given === 'open') return { registry: openRegistry(), listed: undefined, devices: undefined };
  let devices: Devices | undefined;
  const hasDevices = devicesPerSecond > 0;
  const listed = listedRegistry([], {
    seed,
    ...(order !== undefined && { order }),
    ...(hasDevices && { onDelete: (gone) => devices?.lost(gone) }),
  });
  for await (const entry of given) {
    if ('deviceSn' in entry) listed.register(entry);
    else listed.registerCa(entry);
  }
  // A sequence of its own, as the latencies have.
  const random = seededRandom(seed + 2);
  if (hasDevices) devices = new Devices({ registry: listed, perSecond: devicesPerSecond, random, nowMs });
  return { registry: listed, listed, devices };
}
