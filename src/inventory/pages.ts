import { setImmediate } from 'node:timers/promises';
import { isCutShort } from '../core/listed.ts';
import type { ListedPage, ReadAnswer } from '../core/registered.ts';
import { Walk, type WalkState, type WindowRows } from '../core/walk.ts';
import type { Window } from '../core/window.ts';
import type { Listing } from './listings.ts';
import type { ReadDesk, ReadEnd } from './reads.ts';

/** Calls under way at once: the pace of an address at nearly half a second each. More would hold more pages in memory. */
const AT_ONCE = 128;

/** A page of the listing. */
export interface Page<Row> extends WindowRows {
  readonly found: readonly Row[];
  readonly unreadable: number;
  /** It has fewer rows than were asked for, as the last page does, and says itself that more follow. */
  readonly isCutShort: boolean;
}

export interface WalkParts<Row> {
  readonly desk: ReadDesk;
  readonly listing: Listing<Row>;
  readonly from: WalkState;
  /** The next page of the chain, and how far the walk is with it. */
  readonly take: (page: Page<Row>, state: () => WalkState) => Promise<void> | void;
}

export type WalkEnd =
  | {
      readonly kind: 'walked';
      readonly state: WalkState;
      /** The listing ended before its own total says so: certificates may have been missed. */
      readonly isCutShort: boolean;
    }
  | Exclude<ReadEnd<never>, { kind: 'read' }>;

/** Walks over a listing with as many calls under way as the pace wants. The first failure ends it. */
export async function walkPages<Row>({ desk, listing, from, take }: WalkParts<Row>): Promise<WalkEnd> {
  const walk = new Walk<Page<Row>>(from);
  const ended: (readonly [Window, ReadEnd<Page<Row>>])[] = [];
  const underWay = new Set<Window>();
  let wake = (): void => undefined;
  const ask = async (window: Window): Promise<void> => {
    underWay.add(window);
    ended.push([window, await readPage(desk, listing, window)]);
    underWay.delete(window);
    wake();
  };
  let failure: WalkEnd | undefined;
  let isShort = false;
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
      walk.heard(window, end.data);
      // A late answer completes the chain for many pages at once. Between two of them, calls whose slots have come must be able to leave.
      for (let page = walk.next(); page !== undefined; page = walk.next()) {
        isShort = page.isCutShort;
        await take(page, () => walk.state);
        await setImmediate();
      }
    } else failure = end;
  }
  // What was asked for ahead has a slot or waits for one: so the client must stay open.
  while (underWay.size > 0) await new Promise<void>((resolve) => (wake = resolve));
  return failure ?? { kind: 'walked', state: walk.state, isCutShort: isShort };
}

/** A page that is not full ends the walk, so one that contradicts itself is asked for once more. */
async function readPage<Row>(desk: ReadDesk, listing: Listing<Row>, window: Window): Promise<ReadEnd<Page<Row>>> {
  const first = await readOnce(desk, listing, window);
  return first.kind === 'read' && first.data.isCutShort ? readOnce(desk, listing, window) : first;
}

async function readOnce<Row>(
  desk: ReadDesk,
  { read, keyOf, totals }: Listing<Row>,
  { start, pageNo, pageSize }: Window,
): Promise<ReadEnd<Page<Row>>> {
  const end = await desk.read((notAfterMs): Promise<ReadAnswer<ListedPage<Row>>> =>
    read({ pageNo, pageSize }, notAfterMs),
  );
  if (end.kind !== 'read') return end;
  const { rows, unreadable, total } = end.data;
  // Only how much is asked for ahead depends on it.
  const expected = total === undefined || totals === 'rows' ? total : total * pageSize;
  const listed = rows.length + unreadable;
  return {
    kind: 'read',
    data: {
      keys: rows.map(keyOf),
      rows: listed,
      expected,
      found: rows,
      unreadable,
      isCutShort: listed < pageSize && isCutShort(start + listed, { total, pageSize }),
    },
  };
}
