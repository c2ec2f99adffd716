import type { WriteStream } from 'node:tty';
import type { Happening } from './text/event.ts';
import { columnsOf } from './text/fit.ts';
import { frameOf, inFull, withHappening, type Line, type Repeated, type Size } from './text/frame.ts';

const DRAW_EVERY_MS = 250;
/** On a terminal that cannot move its cursor, the live lines come again after so long. */
const PLAIN_EVERY_MS = 10_000;
const NARROWEST: Size = { columns: 20, rows: 5 };

const HIDE_CURSOR = '\u001B[?25l';
const SHOW_CURSOR = '\u001B[?25h';
const LOUD = '\u001B[1;31m';
const PLAIN = '\u001B[0m';
const CLEAR_LINE = '\u001B[K';
const CLEAR_BELOW = '\u001B[J';

/** A part of the terminal that is drawn again and again, below what stays. */
export interface Screen {
  /** Something happened: it is shown below the live lines. A problem that has no room there any more is written above them, where it stays. */
  happened(happening: Happening): void;
  /** Writes the problems that are still below in full, leaves the live lines as they are, and gives the cursor back. */
  close(): void;
}

/** @param live - the lines as they are now, for a terminal of that size */
export function openScreen(out: WriteStream, live: (size: Size) => readonly Line[], term: string | undefined): Screen {
  return term === 'dumb' ? new PlainScreen(out, live) : new LiveScreen(out, live);
}

/** Redraws in place. It knows how many rows its last picture takes, so that nothing above is touched. */
class LiveScreen implements Screen {
  readonly #out: WriteStream;
  readonly #live: (size: Size) => readonly Line[];
  readonly #timer: NodeJS.Timeout;
  #happened: readonly Repeated[] = [];
  #drawn: readonly Line[] = [];
  #columns = 0;
  #isClosed = false;

  constructor(out: WriteStream, live: (size: Size) => readonly Line[]) {
    this.#out = out;
    this.#live = live;
    out.write(HIDE_CURSOR);
    this.#timer = setInterval(this.#draw, DRAW_EVERY_MS).unref();
    out.on('resize', this.#draw);
    // Also where a second signal or a fault ends the process.
    process.on('exit', this.#giveBack);
    process.on('SIGTSTP', this.#suspend);
    process.on('SIGCONT', this.#goOn);
    this.#draw();
  }

  happened(happening: Happening): void {
    this.#happened = withHappening(this.#happened, happening);
  }

  close(): void {
    if (this.#isClosed) return;
    clearInterval(this.#timer);
    const size = sizeOf(this.#out);
    this.#paint(this.#live(size), problemsIn(this.#happened, size));
    this.#happened = [];
    this.#giveBack();
    this.#out.off('resize', this.#draw);
    process.off('exit', this.#giveBack);
    process.off('SIGTSTP', this.#suspend);
    process.off('SIGCONT', this.#goOn);
  }

  readonly #draw = (): void => {
    const size = sizeOf(this.#out);
    const { lines, left } = frameOf(this.#live(size), this.#happened, size);
    this.#happened = this.#happened.slice(left.length);
    this.#paint(lines, problemsIn(left, size));
  };

  readonly #giveBack = (): void => {
    if (!this.#isClosed) this.#out.write(SHOW_CURSOR);
    this.#isClosed = true;
  };

  /** Ctrl-Z: the shell gets its cursor. */
  readonly #suspend = (): void => {
    this.#out.write(SHOW_CURSOR);
    process.kill(process.pid, 'SIGSTOP');
  };

  /** The shell has written below the picture, so the next one begins there. */
  readonly #goOn = (): void => {
    this.#drawn = [];
    this.#out.write(HIDE_CURSOR);
    this.#draw();
  };

  #paint(lines: readonly Line[], above: readonly Line[]): void {
    const { columns } = sizeOf(this.#out);
    const up = rowsOf(this.#drawn, columns);
    const colours = this.#out.hasColors();
    const text = [...above, ...lines].map((line) => `${inked(line, colours)}${CLEAR_LINE}\n`).join('');
    // Rows that another width has broken would be joined again at the next one, with what is written over them.
    const clear = columns === this.#columns ? '' : CLEAR_BELOW;
    this.#out.write(`\r${up === 0 ? '' : `\u001B[${up}A`}${clear}${text}${CLEAR_BELOW}`);
    this.#drawn = lines;
    this.#columns = columns;
  }
}

/** Writes lines one below the other, and nothing that moves a cursor. */
class PlainScreen implements Screen {
  readonly #out: WriteStream;
  readonly #live: (size: Size) => readonly Line[];
  readonly #timer: NodeJS.Timeout;
  #last = '';

  constructor(out: WriteStream, live: (size: Size) => readonly Line[]) {
    this.#out = out;
    this.#live = live;
    this.#timer = setInterval(() => this.#write(), PLAIN_EVERY_MS).unref();
    this.#write();
  }

  happened(happening: Happening): void {
    this.#out.write(textOf(inFull({ ...happening, times: 1 }, sizeOf(this.#out).columns)));
  }

  close(): void {
    clearInterval(this.#timer);
    this.#write();
  }

  #write(): void {
    const text = textOf(this.#live(sizeOf(this.#out)));
    if (text !== this.#last) this.#out.write(text);
    this.#last = text;
  }
}

function sizeOf({ columns, rows }: WriteStream): Size {
  // A terminal that is made of a pipe says 0.
  const { columns: leastColumns, rows: leastRows } = NARROWEST;
  return { columns: Math.max(leastColumns, columns || 80), rows: Math.max(leastRows, rows || 24) };
}

/** The rows that lines take, also after the terminal became narrower and broke them. */
function rowsOf(lines: readonly Line[], columns: number): number {
  return lines.reduce((sum, { text }) => sum + Math.max(1, Math.ceil(columnsOf(text) / columns)), 0);
}

function problemsIn(happened: readonly Repeated[], { columns }: Size): Line[] {
  return happened.filter(({ isProblem }) => isProblem).flatMap((happening) => inFull(happening, columns));
}

function inked({ text, isLoud }: Line, colours: boolean): string {
  return isLoud === true && colours ? `${LOUD}${text}${PLAIN}` : text;
}

function textOf(lines: readonly Line[]): string {
  return lines.map(({ text }) => `${text}\n`).join('');
}
