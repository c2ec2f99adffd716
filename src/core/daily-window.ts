/** A part of each day: from a minute on, up to another. One that ends before it begins goes over midnight. */
export interface DailyWindow {
  /** Like `02:00`. */
  readonly from: string;
  readonly to: string;
}

const WINDOW = /^((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d)$/;

/** Of `02:00-06:00`; undefined for anything else. Equal ends would be never or always, and nobody could tell which. */
export function parseDailyWindow(text: string): DailyWindow | undefined {
  const [, from = '', to = ''] = WINDOW.exec(text) ?? [];
  return from === to ? undefined : { from, to };
}

export function describeWindow({ from, to }: DailyWindow): string {
  return `${from}-${to}`;
}

/** @param time - of the day, like `03:00` */
export function isInside({ from, to }: DailyWindow, time: string): boolean {
  return from < to ? from <= time && time < to : from <= time || time < to;
}
