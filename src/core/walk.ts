import { endOf, FIRST_WINDOW, windowAfter, type Window } from './window.ts';

/** How much earlier a window begins after one, two or three that shared nothing; after the last, the order itself must have changed. */
const BACK_ROWS = [100, 400, 1_600] as const;
/** Windows that a later one may share a certificate with: a little more than the longest step back. */
const RECENT_WINDOWS = 24;
/** How often a window that was asked for ahead may share nothing before it is given up: those behind the chain's end are asked for again. */
const MOST_MISSES = 3;
/** Windows that wait for one before them, at most: their pages are in memory. At the pace of an address, those of two seconds. */
const MOST_AHEAD = 640;
/** Full windows in a row that bring nothing new, at most: the listing gives the same page for each number, or grows faster than it is read. */
const MOST_STILL = 64;
/** Windows that are asked for ahead where nobody knows how long the listing is. */
const BLIND_AHEAD = 2;

/** What a walk continues from, after a crash too. */
export interface WalkState {
  /** The place behind the last window of the chain. */
  readonly end: number;
  /** The keys of its last windows. */
  readonly recent: readonly (readonly string[])[];
  readonly calls: number;
  readonly stepsBack: number;
  /** The order of the listing has changed: certificates may have been missed. */
  readonly isMoved: boolean;
}

export const WALK_START: WalkState = { end: 0, recent: [], calls: 0, stepsBack: 0, isMoved: false };

/** What a page of the listing had. */
export interface WindowRows {
  /** One for each certificate, in the listing's order. */
  readonly keys: readonly string[];
  /** Rows, those without a key included. */
  readonly rows: number;
  /** How many certificates the listing has, as far as its total can be believed. */
  readonly expected: number | undefined;
}

interface Planned<Page extends WindowRows> {
  readonly window: Window;
  isAsked: boolean;
  page?: Page;
  misses: number;
}

/**
 * A walk over a listing whose pages shift while certificates come and go. It makes a chain of windows, each of which shares a certificate with an
 * earlier one of the chain, whichever of them was read first.
 *
 * Why nothing is missed that stays from start to end, where no two certificates ever change their relative order: say windows V and W share the
 * certificate c. A window is a run of the listing at its moment. So of what stays, V has all between its first certificate and c, and W all between
 * c and its last one. The chain begins at place 0, before which there is nothing, and ends with a page that is not full, behind which there is
 * nothing. By induction, it has all that stays.
 *
 * Several windows may be under way at once. They are judged in their order, and a gap is closed before what lies behind it counts.
 */
export class Walk<Page extends WindowRows> {
  /** Of each of the last windows, the place of each key. */
  readonly #recent: ReadonlyMap<string, number>[];
  readonly #planned: Planned<Page>[] = [];
  #end: number;
  #calls: number;
  #stepsBack: number;
  #isMoved: boolean;
  #isDone = false;
  /** Steps back since the chain was longest, and where that was. */
  #backs = 0;
  #backFrom = 0;
  #still = 0;
  #expected: number | undefined;

  constructor(state: WalkState = WALK_START) {
    this.#recent = state.recent.map(placesOf);
    this.#end = state.end;
    this.#calls = state.calls;
    this.#stepsBack = state.stepsBack;
    this.#isMoved = state.isMoved;
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  get state(): WalkState {
    return {
      end: this.#end,
      recent: this.#recent.map((places) => [...places.keys()]),
      calls: this.#calls,
      stepsBack: this.#stepsBack,
      isMoved: this.#isMoved,
    };
  }

  /** The next window to ask for; undefined where an answer must come first. */
  take(): Window | undefined {
    if (this.#isDone) return undefined;
    const waiting = this.#planned.find(({ isAsked }) => !isAsked);
    if (waiting !== undefined) {
      waiting.isAsked = true;
      return waiting.window;
    }
    const last = this.#planned.at(-1);
    const from = last === undefined ? this.#end : Math.max(endOf(last.window), this.#end);
    if (last !== undefined && !this.#mayAskAhead(from)) return undefined;
    const window = from === 0 ? FIRST_WINDOW : windowAfter(from);
    this.#planned.push({ window, isAsked: true, misses: 0 });
    return window;
  }

  /** The answer to a window that `take` gave. */
  heard(window: Window, page: Page): void {
    const planned = this.#planned.find((one) => one.window === window);
    this.#calls += 1;
    // Where there is none, the end was found meanwhile, or the window was given up.
    if (planned === undefined) return;
    planned.page = page;
    this.#expected = page.expected;
  }

  /** Makes the chain longer by one page: the one that is returned. Undefined where an answer must come first. */
  next(): Page | undefined {
    for (;;) {
      const [first] = this.#planned;
      if (this.#isDone || first?.page === undefined) return undefined;
      if (this.#judge(first, first.page)) return first.page;
    }
  }

  /** @returns whether the page is part of the chain */
  #judge(planned: Planned<Page>, page: Page): boolean {
    const { window } = planned;
    const isLinked = window.start === 0 || this.#isShared(page.keys);
    // After a change of the order no chain can promise anything: each page is taken as it is.
    if (!isLinked && !this.#isMoved) {
      if (this.#bridge(planned)) return false;
      this.#isMoved = true;
    }
    this.#accept(window, page);
    return true;
  }

  #isShared(keys: readonly string[]): boolean {
    // The last window first: it should be the one.
    return this.#recent.toReversed().some((places) => keys.some((key) => places.has(key)));
  }

  /** Puts the window before it that should share a certificate with both. @returns false where none does */
  #bridge(planned: Planned<Page>): boolean {
    const { window } = planned;
    if (window.start >= this.#end) {
      // It was not meant to share any: the chain ends further back since a step.
      planned.misses += 1;
      if (planned.misses > MOST_MISSES) this.#planned.shift();
      else this.#planned.unshift({ window: windowAfter(this.#end), isAsked: false, misses: 0 });
      return true;
    }
    const backRows = BACK_ROWS[this.#backs];
    if (backRows === undefined) return false;
    if (this.#backs === 0) this.#backFrom = this.#end;
    this.#backs += 1;
    this.#stepsBack += 1;
    planned.misses += 1;
    // A bridge that shares nothing does not help; what was asked for ahead may be, once there is a better one.
    if (planned.misses > MOST_MISSES || this.#backs > 1) this.#planned.shift();
    this.#planned.unshift({ window: windowAfter(this.#end, backRows), isAsked: false, misses: 0 });
    return true;
  }

  #accept(window: Window, page: Page): void {
    const last = this.#recent.at(-1);
    if (last !== undefined && !keepsOrder(last, page.keys)) this.#isMoved = true;
    const isStill = page.keys.length > 0 && page.keys.every((key) => this.#recent.some((places) => places.has(key)));
    this.#still = isStill ? this.#still + 1 : 0;
    if (this.#still > MOST_STILL) this.#isMoved = true;
    this.#planned.shift();
    this.#recent.push(placesOf(page.keys));
    if (this.#recent.length > RECENT_WINDOWS) this.#recent.shift();
    this.#end = window.start + page.rows;
    // Only a chain that has become longer counts from none again: a listing that withholds its rest would be stepped back from for ever.
    if (this.#end > this.#backFrom) this.#backs = 0;
    if (page.rows >= window.pageSize && this.#still <= MOST_STILL) return;
    this.#isDone = true;
    this.#planned.length = 0;
  }

  #mayAskAhead(from: number): boolean {
    // Before the first answer nobody knows how long it is.
    if (this.#end === 0 || this.#planned.length >= MOST_AHEAD) return false;
    return this.#expected === undefined ? this.#planned.length < BLIND_AHEAD : from < this.#expected;
  }
}

function placesOf(keys: readonly string[]): ReadonlyMap<string, number> {
  return new Map(keys.map((key, place) => [key, place]));
}

/** Whether what two windows share stands in one order in both. */
function keepsOrder(before: ReadonlyMap<string, number>, after: readonly string[]): boolean {
  let last = -1;
  for (const key of after) {
    const place = before.get(key);
    if (place === undefined) continue;
    if (place < last) return false;
    last = place;
  }
  return true;
}
