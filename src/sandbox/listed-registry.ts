import type { Certificate } from '../core/certificate.ts';
import { caDetails, deviceDetails } from './details.ts';
import { makeListing, type Listing, type ListingOrder } from './listing-order.ts';
import {
  copyText,
  type CaRecord,
  type Details,
  type DeviceRecord,
  type ListingScope,
  type Registry,
} from './registry.ts';
import { seededRandom } from './seeded.ts';

/** A certificate or a CA to be registered; what is missing follows from the serial number. */
export interface NewDevice extends Certificate, Partial<Details> {
  readonly state?: 'active' | 'inactive';
}

export interface NewCa extends Partial<Details> {
  readonly instanceId: string;
  readonly caSn: string;
  readonly state?: 'active' | 'inactive';
}

/** A registry that knows what it holds. */
export interface ListedRegistry extends Registry {
  /** Registers a certificate as the newest one, and its CA where that is not known; one that is registered keeps its place. */
  register(device: NewDevice): void;
  /** Registers a CA, or says more of one that is known. */
  registerCa(ca: NewCa): void;
  /** Everything, in the order in which it was registered: each CA before the certificates. */
  records(): Generator<CaRecord | DeviceRecord, void, undefined>;
  readonly registeredCount: number;
}

export interface ListedRegistryOptions {
  /** Default oldest first. */
  readonly order?: ListingOrder;
  /** Decides the shuffles; default 1. */
  readonly seed?: number;
  /** Hears of each certificate that is deleted by itself, not with its CA. */
  readonly onDelete?: (gone: DeviceRecord) => void;
}

interface Ca {
  readonly instanceId: string;
  readonly caSn: string;
  readonly listing: Listing;
  /** By serial number. */
  readonly ids: Map<string, number>;
  state: 'active' | 'inactive';
  details: Partial<Details>;
}

/**
 * A registry of the certificates given, some 130 bytes each beside the serial number. A CA stays known after its last certificate is gone.
 * What a certificate says of itself is kept only where it was given.
 */
export function listedRegistry(
  devices: Iterable<NewDevice> = [],
  { order = 'oldest', seed = 1, onDelete }: ListedRegistryOptions = {},
): ListedRegistry {
  const random = seededRandom(seed);
  const instances = new Map<string, { readonly listing: Listing; readonly cas: Map<string, Ca> }>();
  // By id, which grows with each registration and is never used again.
  const serials: (string | undefined)[] = [];
  const owners: Ca[] = [];
  const inactive = new Set<number>();
  const given = new Map<number, Partial<Details>>();
  let deletedCount = 0;
  let registeredCount = 0;

  const caOf = (instanceId: string, caSn: string): Ca | undefined => instances.get(instanceId)?.cas.get(caSn);
  const idOf = ({ instanceId, caSn, deviceSn }: Certificate): number | undefined =>
    caOf(instanceId, caSn)?.ids.get(deviceSn);
  const listingOf = ({ instanceId, caSn }: ListingScope): Listing | undefined =>
    caSn === undefined ? instances.get(instanceId)?.listing : caOf(instanceId, caSn)?.listing;

  const caRecord = ({ instanceId, caSn, state, details }: Ca): CaRecord => ({
    instanceId,
    caSn,
    ...caDetails(instanceId, caSn),
    ...details,
    state,
  });
  const record = (id: number): DeviceRecord => {
    const { instanceId = '', caSn = '' } = owners[id] ?? {};
    const certificate = { instanceId, caSn, deviceSn: serials[id] ?? '' };
    const state = inactive.has(id) ? 'inactive' : 'active';
    return { ...certificate, ...deviceDetails(certificate), ...given.get(id), state };
  };
  const openCa = (instanceId: string, caSn: string): Ca => {
    let instance = instances.get(instanceId);
    if (instance === undefined) {
      instance = { listing: makeListing(order, random), cas: new Map() };
      instances.set(copyText(instanceId), instance);
    }
    let ca = instance.cas.get(caSn);
    if (ca === undefined) {
      const listing = makeListing(order, random);
      ca = {
        instanceId: copyText(instanceId),
        caSn: copyText(caSn),
        listing,
        ids: new Map(),
        state: 'active',
        details: {},
      };
      instance.cas.set(ca.caSn, ca);
    }
    return ca;
  };
  const forget = (id: number, ca: Ca): void => {
    instances.get(ca.instanceId)?.listing.remove(id);
    ca.ids.delete(serials[id] ?? '');
    serials[id] = undefined;
    inactive.delete(id);
    given.delete(id);
    deletedCount += 1;
    registeredCount -= 1;
  };
  const setState = (id: number, state: 'active' | 'inactive'): void => {
    if (state === 'inactive') inactive.add(id);
    else inactive.delete(id);
  };

  const registry: ListedRegistry = {
    register(device) {
      const ca = openCa(device.instanceId, device.caSn);
      let id = ca.ids.get(device.deviceSn);
      if (id === undefined) {
        id = serials.length;
        const deviceSn = copyText(device.deviceSn);
        serials.push(deviceSn);
        owners.push(ca);
        ca.ids.set(deviceSn, id);
        ca.listing.insert(id);
        instances.get(ca.instanceId)?.listing.insert(id);
        registeredCount += 1;
      }
      const details = unlike(device, () => deviceDetails(device));
      if (details !== undefined) given.set(id, details);
      setState(id, device.state ?? 'active');
    },
    registerCa(device) {
      const ca = openCa(device.instanceId, device.caSn);
      ca.details = unlike(device, () => caDetails(ca.instanceId, ca.caSn)) ?? {};
      ca.state = device.state ?? 'active';
    },
    *records() {
      for (const { cas } of instances.values()) for (const ca of cas.values()) yield caRecord(ca);
      for (const [id, serial] of serials.entries()) if (serial !== undefined) yield record(id);
    },
    stateOf(certificate) {
      const id = idOf(certificate);
      if (id === undefined) return 'absent';
      return inactive.has(id) ? 'inactive' : 'active';
    },
    device(certificate) {
      const id = idOf(certificate);
      return id === undefined ? undefined : record(id);
    },
    change(certificate, state) {
      const ca = caOf(certificate.instanceId, certificate.caSn);
      const id = ca?.ids.get(certificate.deviceSn);
      if (ca === undefined || id === undefined) return;
      if (state !== 'absent') {
        setState(id, state);
        return;
      }
      const gone = onDelete === undefined ? undefined : record(id);
      ca.listing.remove(id);
      forget(id, ca);
      if (gone !== undefined) onDelete?.(gone);
    },
    ca(instanceId, caSn) {
      const ca = caOf(instanceId, caSn);
      return ca === undefined ? undefined : caRecord(ca);
    },
    changeCa(instanceId, caSn, state) {
      const ca = caOf(instanceId, caSn);
      if (ca === undefined) return;
      if (state !== 'absent') {
        ca.state = state;
        return;
      }
      for (const id of ca.ids.values()) forget(id, ca);
      instances.get(instanceId)?.cas.delete(caSn);
    },
    list: (scope, from, count) => (listingOf(scope)?.page(from, count) ?? []).map(record),
    countOf: (scope) => listingOf(scope)?.size ?? 0,
    listCas: (instanceId) => [...(instances.get(instanceId)?.cas.values() ?? [])].map(caRecord),
    get deletedCount() {
      return deletedCount;
    },
    get registeredCount() {
      return registeredCount;
    },
  };
  for (const device of devices) registry.register(device);
  return registry;
}

const DETAILS = ['name', 'validBeginMs', 'validEndMs', 'pem'] as const;

/** What was given and differs from what would be said anyway; undefined where nothing does. */
function unlike(given: Partial<Details>, usualOf: () => Details): Partial<Details> | undefined {
  if (DETAILS.every((key) => given[key] === undefined)) return undefined;
  const usual = usualOf();
  const differing = DETAILS.filter((key) => given[key] !== undefined && given[key] !== usual[key]);
  if (differing.length === 0) return undefined;
  return Object.fromEntries(differing.map((key) => [key, given[key]]));
}
