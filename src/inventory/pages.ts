import type { RegisteredDevice } from '../core/registered.ts';
import { Walk, type WalkState, type WindowRows } from '../core/walk.ts';
import type { Window } from '../core/window.ts';
import type { MqttClient } from '../mqtt/client.ts';
import type { ReadDesk, ReadEnd } from './reads.ts';

/** Calls under way at once: the highest pace at a tenth of a second each. More would hold more pages in memory. */
const AT_ONCE = 48;

/** A page of the listing. */
export interface Page extends WindowRows {
  readonly devices: readonly RegisteredDevice[];
  readonly unreadable: number;
}

/** What is walked over: the certificates of an instance, or of one of its CAs. */
export interface Listing {
  readonly instanceId: string;
  readonly caSn: string | undefined;
}

export interface WalkParts {
  readonly desk: ReadDesk;
  readonly client: Pick<MqttClient, 'listDeviceCertificates'>;
  readonly listing: Listing;
  readonly from: WalkState;
  /** The pages of the chain that have come since, in its order, and how far the walk is now. */
  readonly take: (pages: readonly Page[], state: () => WalkState) => Promise<void>;
}

export type WalkEnd =
  | { readonly kind: 'walked'; readonly state: WalkState }
  | Exclude<ReadEnd<never>, { kind: 'read' }>;

/** Walks over a listing with as many calls under way as the pace wants. The first failure ends it. */
export async function walkPages({ desk, client, listing, from, take }: WalkParts): Promise<WalkEnd> {
  const walk = new Walk<Page>(from);
  const ended: (readonly [Window, ReadEnd<Page>])[] = [];
  const underWay = new Set<Window>();
  let wake = (): void => undefined;
  const ask = async (window: Window): Promise<void> => {
    underWay.add(window);
    ended.push([window, await readPage({ desk, client, listing }, window)]);
    underWay.delete(window);
    wake();
  };
  let failure: WalkEnd | undefined;
  while (failure === undefined && !walk.isDone) {
    while (underWay.size < AT_ONCE) {
      const window = walk.take();
      if (window === undefined) break;
      void ask(window);
    }
    // Not a race of all promises: each that is under way would hold the pages of those that ended before it.
    if (ended.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    const [answer] = ended.splice(0, 1);
    if (answer === undefined) continue;
    const [window, end] = answer;
    if (end.kind === 'read') {
      const pages = walk.heard(window, end.data);
      if (pages.length > 0) await take(pages, () => walk.state);
    } else failure = end;
  }
  // What was asked for ahead has a slot or waits for one: nobody may close the client under it.
  while (underWay.size > 0) await new Promise<void>((resolve) => (wake = resolve));
  return failure ?? { kind: 'walked', state: walk.state };
}

async function readPage(
  { desk, client, listing }: Pick<WalkParts, 'desk' | 'client' | 'listing'>,
  { pageNo, pageSize }: Window,
): Promise<ReadEnd<Page>> {
  const page = { ...listing, pageNo, pageSize };
  const end = await desk.read((notAfterMs) => client.listDeviceCertificates(page, notAfterMs));
  if (end.kind !== 'read') return end;
  const { rows, unreadable, total } = end.data;
  // Documented as results for one operation, and as pages for the other. Only how much is asked for ahead depends on it.
  const expected = total === undefined || listing.caSn !== undefined ? total : total * pageSize;
  return {
    kind: 'read',
    data: {
      keys: rows.map(({ caSn, deviceSn }) => `${caSn}\n${deviceSn}`),
      rows: rows.length + unreadable,
      expected,
      devices: rows,
      unreadable,
    },
  };
}
