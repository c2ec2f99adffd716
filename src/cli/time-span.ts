import { timeSpanMs as parse } from '../core/time-span.ts';
import { CommandEnd, EXIT } from './exit.ts';

/**
 * The value of an option that takes a span of time, milliseconds.
 * @throws CommandEnd that names the option and what it was given
 */
export function timeSpanMs(option: string, text: string): number {
  const ms = parse(text);
  if (ms === undefined)
    throw new CommandEnd(
      EXIT.usage,
      `${option} ${text} is not a time: write days, hours or minutes, such as 30d or 12h.`,
    );
  return ms;
}
