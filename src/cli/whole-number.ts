import { groupDigits } from '../core/counting.ts';
import { CommandEnd, EXIT } from './exit.ts';

/** Sixteen digits may be more than a number holds exactly. */
const DIGITS = /^\d{1,15}$/;

/**
 * The value of an option that takes a whole number.
 * @param range - what it must be in; any where there is none
 * @throws CommandEnd that names the option and what it was given
 */
export function wholeNumber(
  option: string,
  text: string,
  range?: { readonly least: number; readonly most: number },
): number {
  const number = Number(text);
  const isInRange = range === undefined || (number >= range.least && number <= range.most);
  if (DIGITS.test(text) && isInRange) return number;
  const bounds = range === undefined ? '' : ` from ${groupDigits(range.least)} to ${groupDigits(range.most)}`;
  throw new CommandEnd(EXIT.usage, `${option} ${text} is not a whole number${bounds}.`);
}
