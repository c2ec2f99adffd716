import type { RegisteredDevice, RegisteredStatus } from '../core/registered.ts';
import { WALK_START } from '../core/walk.ts';
import { walkPages } from '../inventory/pages.ts';
import type { ReadingClient } from '../inventory/reading-client.ts';
import type { ReadDesk, ReadEnd } from '../inventory/reads.ts';

/** What a reader calls with. */
export interface Reading {
  readonly desk: ReadDesk;
  readonly client: ReadingClient;
}

type Stopped = Exclude<ReadEnd<never>, { kind: 'read' }>;

/** Shows every certificate of an instance to `see`, some of them several times. */
export async function seeInstance(
  { desk, client }: Reading,
  instanceId: string,
  see: (device: RegisteredDevice) => void,
): Promise<{ readonly kind: 'seen'; readonly isMoved: boolean; readonly unreadable: number } | Stopped> {
  let unreadable = 0;
  const end = await walkPages({
    desk,
    client,
    listing: { instanceId, caSn: undefined },
    from: WALK_START,
    take(pages) {
      for (const page of pages) {
        unreadable += page.unreadable;
        for (const device of page.devices) see(device);
      }
      return Promise.resolve();
    },
  });
  return end.kind === 'walked' ? { kind: 'seen', isMoved: end.state.isMoved, unreadable } : end;
}

const PAGE_SIZE = 100;
/** An instance has a handful of CAs; an endpoint whose pages never end must not be asked for ever. */
const MOST_PAGES = 100;

/** The status of each CA of an instance. */
export async function readCas(
  { desk, client }: Reading,
  instanceId: string,
): Promise<{ readonly kind: 'read'; readonly data: ReadonlyMap<string, RegisteredStatus> } | Stopped> {
  const statuses = new Map<string, RegisteredStatus>();
  for (let pageNo = 1; pageNo <= MOST_PAGES; pageNo += 1) {
    const page = { instanceId, pageNo, pageSize: PAGE_SIZE };
    const end = await desk.read((notAfterMs) => client.listCaCertificates(page, notAfterMs));
    if (end.kind !== 'read') return end;
    const { rows, unreadable } = end.data;
    for (const { caSn, status } of rows) statuses.set(caSn, status);
    if (rows.length + unreadable < PAGE_SIZE) break;
  }
  return { kind: 'read', data: statuses };
}
