import type { Certificate } from '../core/certificate.ts';

/** What the broker knows of a certificate. */
type Registration = 'active' | 'inactive' | 'absent';

interface RegisteredCertificate {
  readonly certificate: Certificate;
  readonly state: 'active' | 'inactive';
}

/** The stand-in for the broker's certificate registry. Holds some 16 million changes, the size of a JavaScript set. */
export interface Registry {
  /** @param key - from `certificateKey` */
  stateOf(key: string): Registration;
  /** Sets the state; `absent` removes the registration. The certificate must be present. */
  change(key: string, state: Registration): void;
  knowsCa(instanceId: string, caSn: string): boolean;
  /** The certificates of an instance, or of one of its CAs, in the order they were registered. */
  list(instanceId: string, caSn?: string): readonly RegisteredCertificate[];
  readonly deletedCount: number;
  /** Undefined where every certificate exists until it is deleted. */
  readonly registeredCount: number | undefined;
}

/** One text per certificate. Fields have no control characters (`parseCertificate`), so the parts cannot run together. */
export function certificateKey(certificate: Certificate): string {
  return copyText(`${certificate.instanceId}\n${certificate.caSn}\n${certificate.deviceSn}`);
}

/** A copy of its own, to be kept: a part of a request, even joined to others, would keep the whole request in memory. */
export function copyText(text: string): string {
  return Buffer.from(text).toString();
}

/** A registry in which every certificate exists until it is deleted. It cannot enumerate them: its lists are empty. */
export function openRegistry(): Registry {
  const deleted = new Set<string>();
  const inactive = new Set<string>();
  return {
    stateOf(key) {
      if (deleted.has(key)) return 'absent';
      return inactive.has(key) ? 'inactive' : 'active';
    },
    change(key, state) {
      if (state === 'inactive') inactive.add(key);
      else inactive.delete(key);
      if (state === 'absent') deleted.add(key);
    },
    knowsCa: () => true,
    list: () => [],
    get deletedCount() {
      return deleted.size;
    },
    registeredCount: undefined,
  };
}

/** A registry of the certificates given. A CA stays known after its last certificate is gone. */
export function listedRegistry(certificates: Iterable<Certificate>): Registry {
  const rows = new Map<string, { readonly certificate: Certificate; state: 'active' | 'inactive' }>();
  const cas = new Set<string>();
  // Pages of one listing are cut from one array, until a deletion makes it stale.
  const listings = new Map<string, readonly RegisteredCertificate[]>();
  let deletedCount = 0;
  for (const certificate of certificates) {
    rows.set(certificateKey(certificate), { certificate, state: 'active' });
    cas.add(`${certificate.instanceId}\n${certificate.caSn}`);
  }
  return {
    stateOf: (key) => rows.get(key)?.state ?? 'absent',
    change(key, state) {
      if (state === 'absent') {
        if (rows.delete(key)) deletedCount += 1;
        listings.clear();
        return;
      }
      const row = rows.get(key);
      if (row !== undefined) row.state = state;
    },
    knowsCa: (instanceId, caSn) => cas.has(`${instanceId}\n${caSn}`),
    list(instanceId, caSn) {
      const key = caSn === undefined ? instanceId : `${instanceId}\n${caSn}`;
      const known = listings.get(key);
      if (known !== undefined) return known;
      const listing: RegisteredCertificate[] = [];
      for (const row of rows.values()) {
        if (row.certificate.instanceId !== instanceId) continue;
        if (caSn === undefined || row.certificate.caSn === caSn) listing.push(row);
      }
      listings.set(key, listing);
      return listing;
    },
    get deletedCount() {
      return deletedCount;
    },
    get registeredCount() {
      return rows.size;
    },
  };
}
