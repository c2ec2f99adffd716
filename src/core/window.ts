/** The API's limits for a page, and what a walk asks for at least: the smaller a page, the more calls. */
const MOST_ROWS = 100;
const LEAST_ROWS = 50;
/** So many rows of the last window are asked for again: certificates that are deleted meanwhile shift the next ones into it. */
const OVERLAP_ROWS = 8;

/** A page of a listing, as the run of places that it covers. */
export interface Window {
  /** Its first place, from 0. */
  readonly start: number;
  readonly pageNo: number;
  readonly pageSize: number;
}

export const FIRST_WINDOW: Window = { start: 0, pageNo: 1, pageSize: MOST_ROWS };

/** Behind the last place of a window. */
export function endOf({ start, pageSize }: Window): number {
  return start + pageSize;
}

/**
 * The window that begins before `end` by the overlap or a little more, and reaches furthest. A page begins at a multiple of its own size, so the
 * size is what there is to choose.
 * @param backRows - how much earlier still it begins
 */
export function windowAfter(end: number, backRows = 0): Window {
  const latest = Math.max(0, end - OVERLAP_ROWS - backRows);
  let best = FIRST_WINDOW;
  let bestReach = 0;
  for (let pageSize = MOST_ROWS; pageSize >= LEAST_ROWS; pageSize -= 1) {
    const pages = Math.floor(latest / pageSize);
    const reach = (pages + 1) * pageSize;
    if (reach <= bestReach) continue;
    best = { start: pages * pageSize, pageNo: pages + 1, pageSize };
    bestReach = reach;
  }
  return best;
}
