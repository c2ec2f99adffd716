import type { RegisteredStatus } from './registered.ts';

/** What a plan says of a certificate that somebody wants to change. */
export const CERTIFICATE_CLASSES = ['active', 'inactive', 'absent', 'otherCa'] as const;
export type CertificateClass = (typeof CERTIFICATE_CLASSES)[number];
export type ClassCounts = Readonly<Record<CertificateClass, number>>;

/** What an inventory saw of a certificate, and of its device under whichever CA. */
export interface Sighting {
  /** Undefined where it is not registered as it was named. */
  readonly status: RegisteredStatus | undefined;
  /** The instance has a certificate with this device serial number. */
  readonly isDeviceKnown: boolean;
}

/** `otherCa`: the instance has the device's serial number, but not under the CA that was named, which is likely a typo. */
export function classOf({ status, isDeviceKnown }: Sighting): CertificateClass {
  if (status !== undefined) return status;
  return isDeviceKnown ? 'otherCa' : 'absent';
}

/** Only what is registered as it was named is called for. */
export function isPlanned(certificateClass: CertificateClass): boolean {
  return certificateClass === 'active' || certificateClass === 'inactive';
}

/** `absent`: the instance does not list this CA. */
export type CaStatus = RegisteredStatus | 'absent';

/** What a plan does to one CA. */
export interface CaShare {
  readonly instanceId: string;
  readonly caSn: string;
  readonly status: CaStatus;
  /** Of the certificates that were named with this CA. */
  readonly classes: ClassCounts;
  /** Certificates that the plan changes: a call each. */
  readonly covered: number;
  /** Certificates of the CA that it does not change. */
  readonly surviving: number;
}

/** Counts the certificates that were named, by CA, and holds them against those that are registered. */
export class CaTally {
  readonly #shares = new Map<string, { instanceId: string; caSn: string; classes: Record<CertificateClass, number> }>();

  add({ instanceId, caSn }: { readonly instanceId: string; readonly caSn: string }, as: CertificateClass): void {
    const key = `${instanceId}\n${caSn}`;
    let share = this.#shares.get(key);
    if (share === undefined) {
      share = { instanceId, caSn, classes: { active: 0, inactive: 0, absent: 0, otherCa: 0 } };
      this.#shares.set(key, share);
    }
    share.classes[as] += 1;
  }

  /** The total over all CAs. */
  get classes(): ClassCounts {
    const total = { active: 0, inactive: 0, absent: 0, otherCa: 0 };
    for (const { classes } of this.#shares.values())
      for (const name of CERTIFICATE_CLASSES) total[name] += classes[name];
    return total;
  }

  /**
   * @param registered - how many certificates the CA has
   * @param statusOf - of the CA itself
   */
  shares(
    registered: (instanceId: string, caSn: string) => number,
    statusOf: (instanceId: string, caSn: string) => CaStatus,
  ): CaShare[] {
    return [...this.#shares.values()].map(({ instanceId, caSn, classes }) => {
      const covered = coveredBy(classes);
      return {
        instanceId,
        caSn,
        status: statusOf(instanceId, caSn),
        classes,
        covered,
        // A certificate may change while it is counted: there are never fewer than none left.
        surviving: Math.max(0, registered(instanceId, caSn) - covered),
      };
    });
  }
}

export function coveredBy({ active, inactive }: ClassCounts): number {
  return active + inactive;
}

/** What a plan may touch at most. */
export interface PlanCaps {
  readonly maxItems?: number | undefined;
  /** Of the certificates of each CA: more than 0, at most 1. */
  readonly maxShareOfCa?: number | undefined;
}

/** Why there is no plan although the inventory was taken. */
export type PlanObstacle =
  | { readonly kind: 'empty' }
  | { readonly kind: 'too-many'; readonly certificates: number; readonly maxItems: number }
  | { readonly kind: 'too-much-of-ca'; readonly ca: CaShare; readonly maxShareOfCa: number };

export function obstaclesOf(cas: readonly CaShare[], { maxItems, maxShareOfCa }: PlanCaps): PlanObstacle[] {
  const certificates = cas.reduce((sum, { covered }) => sum + covered, 0);
  if (certificates === 0) return [{ kind: 'empty' }];
  const obstacles: PlanObstacle[] = [];
  if (maxItems !== undefined && certificates > maxItems) obstacles.push({ kind: 'too-many', certificates, maxItems });
  if (maxShareOfCa === undefined) return obstacles;
  for (const ca of cas) {
    // Divided, as the operator has: 0.29 times 100 is less than 29.
    if (ca.covered > 0 && ca.covered / (ca.covered + ca.surviving) > maxShareOfCa)
      obstacles.push({ kind: 'too-much-of-ca', ca, maxShareOfCa });
  }
  return obstacles;
}
