import type { RegisteredCa, RegisteredStatus } from '../core/registered.ts';
import { WALK_START } from '../core/walk.ts';
import { openReadingClient, type ReadingClient } from '../inventory/clients.ts';
import { countDevices } from '../inventory/count.ts';
import { listingOfCas } from '../inventory/listings.ts';
import { walkPages } from '../inventory/pages.ts';
import { isoOf } from '../inventory/row.ts';
import type { AccountConfig } from '../runtime/config/config.ts';
import { withCloud, type Cloud, type CloudStop } from './cloud.ts';
import type { OpenStore } from './store.ts';

/** A CA as `ca list --json` prints it; other programs depend on its names. */
export interface Ca {
  readonly caSn: string;
  readonly name: string;
  readonly status: RegisteredStatus;
  /** ISO 8601; empty where the API says no number. */
  readonly validBegin: string;
  readonly validEnd: string;
}

/** Which CA is meant. */
export interface CaPlace {
  readonly instanceId: string;
  readonly caSn: string;
}

export type CaListOutcome =
  | {
      readonly kind: 'listed';
      readonly cas: readonly Ca[];
      /** The order of the listing changed meanwhile, or it ended before its own total says so: some may be missing. */
      readonly isMoved: boolean;
      /** Rows that name no CA that can be called for. */
      readonly unreadable: number;
    }
  | CloudStop;

export type CaShowOutcome =
  | { readonly kind: 'shown'; readonly ca: Ca; readonly certificates: number }
  | { readonly kind: 'no-ca' | 'moved' }
  | CloudStop;

/** The CAs of an instance, each once, in the order in which the API lists them. */
export async function listCas(
  store: OpenStore,
  account: AccountConfig,
  instanceId: string,
  signal: AbortSignal,
): Promise<CaListOutcome> {
  return withCloud(store, account, { openClient: openReadingClient, signal }, async ({ desk, client }) => {
    const cas = new Map<string, Ca>();
    let unreadable = 0;
    const end = await walkPages({
      desk,
      listing: listingOfCas(client, instanceId),
      from: WALK_START,
      take(page) {
        unreadable += page.unreadable;
        for (const ca of page.found) cas.set(ca.caSn, toCa(ca));
      },
    });
    if (end.kind !== 'walked') return end;
    return { kind: 'listed', cas: [...cas.values()], isMoved: end.state.isMoved || end.isCutShort, unreadable };
  });
}

/** One CA, with the number of its certificates. */
export async function showCa(
  store: OpenStore,
  account: AccountConfig,
  place: CaPlace,
  signal: AbortSignal,
): Promise<CaShowOutcome> {
  return withCloud(store, account, { openClient: openReadingClient, signal }, async (cloud) => {
    const found = await readCa(cloud, place);
    if (found.kind !== 'ca') return found;
    const count = await countDevices(cloud, place.instanceId, place.caSn);
    if (count.kind !== 'counted') return count;
    return { kind: 'shown', ca: found.ca, certificates: count.certificates };
  });
}

/** What the API knows of a CA now. */
export async function readCa(
  { desk, client }: Pick<Cloud<ReadingClient>, 'desk' | 'client'>,
  { instanceId, caSn }: CaPlace,
): Promise<{ readonly kind: 'ca'; readonly ca: Ca } | { readonly kind: 'no-ca' } | CloudStop> {
  const end = await desk.read((notAfterMs) => client.getCaCertificate(instanceId, caSn, notAfterMs));
  if (end.kind === 'read') return { kind: 'ca', ca: toCa(end.data) };
  return isNoCa(end) ? { kind: 'no-ca' } : end;
}

export function isNoCa(end: CloudStop): boolean {
  return end.kind === 'refused' && end.code === 'FindCaBySnError';
}

function toCa({ caSn, name, status, validBeginMs, validEndMs }: RegisteredCa): Ca {
  return { caSn, name, status, validBegin: isoOf(validBeginMs), validEnd: isoOf(validEndMs) };
}
