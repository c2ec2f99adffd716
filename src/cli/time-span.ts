import { CommandEnd, EXIT } from './exit.ts';

const UNITS_MS = { d: 24 * 3_600_000, h: 3_600_000, m: 60_000 } as const;

/**
 * The value of an option that takes a span of time, milliseconds.
 * @throws CommandEnd that names the option and what it was given
 */
export function timeSpanMs(option: string, text: string): number {
  const [, digits, unit] = /^(\d{1,6})([dhm])$/.exec(text) ?? [];
  if (digits === undefined || unit === undefined)
    throw new CommandEnd(EXIT.usage, `${option} ${text} is no time: write days, hours or minutes, such as 30d or 12h.`);
  return Number(digits) * UNITS_MS[unit as keyof typeof UNITS_MS];
}
