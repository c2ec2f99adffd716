import { groupDigits } from '../../core/counting.ts';
import type { Happening } from './event.ts';
import { cut, wrap } from './fit.ts';

/** A line of a screen. A loud one is also coloured where there are colours; its words say the same. */
export interface Line {
  readonly text: string;
  readonly isLoud?: boolean;
}

/** In columns and rows. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** A happening, and how often it came in a row. */
export interface Repeated extends Happening {
  readonly times: number;
}

/** What fits a screen, and what has to leave it. */
export interface Frame {
  readonly lines: readonly Line[];
  /** These no longer fit, oldest first: a problem among them must be written where it stays. */
  readonly left: readonly Repeated[];
}

/** A happening that is the same as the last one is counted, not listed. */
export function withHappening(known: readonly Repeated[], happening: Happening): readonly Repeated[] {
  const last = known.at(-1);
  if (last === undefined || last.text !== happening.text) return [...known, { ...happening, times: 1 }];
  return [...known.slice(0, -1), { ...happening, times: last.times + 1 }];
}

/** The live lines, and below them what just happened, newest last, as much as there is room for. */
export function frameOf(live: readonly Line[], happened: readonly Repeated[], { columns, rows }: Size): Frame {
  // The last row is the cursor's.
  const shown = live.slice(0, Math.max(1, rows - 1));
  const room = rows - 1 - shown.length - 2;
  const blocks: (readonly Line[])[] = [];
  let used = 0;
  for (const happening of happened.toReversed().slice(0, MOST_SHOWN)) {
    const block = happening.isProblem ? inFull(happening, columns) : [inOneLine(happening, columns)];
    if (used + block.length > room) break;
    used += block.length;
    blocks.unshift(block);
  }
  const left = happened.slice(0, happened.length - blocks.length);
  if (blocks.length === 0) return { lines: shown, left };
  return { lines: [...shown, { text: '' }, { text: 'Just happened' }, ...blocks.flat()], left };
}

/** Of what just happened; older ones leave even where there is room, so that the live lines stay in sight. */
const MOST_SHOWN = 8;

/** Every word of it, over as many lines as that takes. */
export function inFull(happening: Repeated, columns: number): Line[] {
  const indent = ' '.repeat(TIME_COLUMNS);
  return wrap(wordsOf(happening), columns - 1, indent).map((text) => ({ text, isLoud: happening.isProblem }));
}

function inOneLine(happening: Repeated, columns: number): Line {
  return { text: cut(wordsOf(happening), columns - 1) };
}

const TIME_COLUMNS = 10;

function wordsOf({ atMs, text, times }: Repeated): string {
  const again = times === 1 ? '' : `${groupDigits(times)} times: `;
  return `${clock(atMs)}  ${again}${text}`;
}

/** The local time of day, `12:03:59`. */
export function clock(atMs: number): string {
  const at = new Date(atMs);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
}
