import type { RegisteredDevice, RegisteredStatus } from '../core/registered.ts';
import { WALK_START } from '../core/walk.ts';
import type { ReadingClient } from '../inventory/clients.ts';
import { listingOfCas, listingOfDevices, type Listing } from '../inventory/listings.ts';
import { walkPages } from '../inventory/pages.ts';
import type { ReadDesk, ReadEnd } from '../inventory/reads.ts';

/** What a reader calls with. */
export interface Reading {
  readonly desk: ReadDesk;
  readonly client: ReadingClient;
}

type Stopped = Exclude<ReadEnd<never>, { kind: 'read' }>;
type Seen = {
  readonly kind: 'seen';
  readonly isMoved: boolean;
  readonly isCutShort: boolean;
  readonly unreadable: number;
};

/** Shows every certificate of an instance to `see`, some of them several times. */
export function seeInstance(
  { desk, client }: Reading,
  instanceId: string,
  see: (device: RegisteredDevice) => void,
): Promise<Seen | Stopped> {
  return seeAll(desk, listingOfDevices(client, instanceId, undefined), see);
}

/** The status of each CA of an instance. */
export async function readCas(
  { desk, client }: Reading,
  instanceId: string,
): Promise<{ readonly kind: 'read'; readonly data: ReadonlyMap<string, RegisteredStatus> } | Stopped> {
  const statuses = new Map<string, RegisteredStatus>();
  const end = await seeAll(desk, listingOfCas(client, instanceId), ({ caSn, status }) => statuses.set(caSn, status));
  return end.kind === 'seen' ? { kind: 'read', data: statuses } : end;
}

async function seeAll<Row>(desk: ReadDesk, listing: Listing<Row>, see: (row: Row) => void): Promise<Seen | Stopped> {
  let unreadable = 0;
  const end = await walkPages({
    desk,
    listing,
    from: WALK_START,
    take(page) {
      unreadable += page.unreadable;
      for (const row of page.found) see(row);
    },
  });
  if (end.kind !== 'walked') return end;
  return { kind: 'seen', isMoved: end.state.isMoved, isCutShort: end.isCutShort, unreadable };
}
