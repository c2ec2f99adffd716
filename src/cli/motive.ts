import { isCancel, text } from '@clack/prompts';
import type { Command } from 'commander';
import { osUser, type Motive } from '../app/acting.ts';
import { CommandEnd, EXIT } from './exit.ts';

/** The options of each command that changes something. */
export interface MotiveOptions {
  readonly requestedBy?: string;
  readonly reason?: string;
}

export interface ConfirmOptions {
  readonly yes?: boolean;
  readonly confirm?: number;
}

export function addMotive(command: Command): Command {
  return command
    .option('--requested-by <who>', 'kept on record; default: the user of the operating system')
    .option('--reason <text>', 'kept on record');
}

/** What is on record of who asked; a blank reason is none, and a blank name too: `--requested-by "$USER"` is one where nobody has logged in. */
export function motiveOf({ requestedBy = '', reason = '' }: MotiveOptions): Motive {
  return { requestedBy: requestedBy.trim() === '' ? osUser() : requestedBy, ...(reason.trim() !== '' && { reason }) };
}

/** For a command that a person cannot be asked about, `--yes` and `--confirm` included. */
export function reasonRequired(): CommandEnd {
  return new CommandEnd(
    EXIT.refused,
    'The configuration wants a reason for each change (audit.requireReason): add --reason "<text>". Nothing was touched.',
  );
}

/** Whether somebody can be asked. */
export function isOnTerminal(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/** Asks for the reason where somebody can be asked; an empty answer is none. */
export function reasonAsker({ yes, confirm }: ConfirmOptions): { askReason?: () => Promise<string | undefined> } {
  if (!isOnTerminal() || yes === true || confirm !== undefined) return {};
  return {
    async askReason() {
      const answer = await ask('Why? The reason stays on record:');
      return answer === '' ? undefined : answer;
    },
  };
}

/**
 * The number that the operator gives, on the command line or when asked.
 * @param effect - what it does to them, like "This deletes 3 device certificates for good."
 */
export async function confirmedNumber(expected: number, effect: string, options: ConfirmOptions): Promise<number> {
  if (options.yes === true) return expected;
  if (options.confirm !== undefined) return options.confirm;
  if (!isOnTerminal()) {
    throw new CommandEnd(
      EXIT.refused,
      `There is no terminal to ask on: add --confirm ${expected} (or --yes). Nothing was touched.`,
    );
  }
  const typed = (await ask(`${effect} Type the number to go on:`)).replaceAll(',', '');
  return /^[1-9]\d*$/.test(typed) ? Number(typed) : Number.NaN;
}

/** For a number that is not the one of the things named. */
export function unconfirmed(expected: number, things: string, { confirm }: ConfirmOptions): CommandEnd {
  return new CommandEnd(
    EXIT.refused,
    confirm === undefined
      ? `That is not ${expected}. Nothing was touched.`
      : `--confirm ${confirm} is not the number of ${things}, which is ${expected}. Nothing was touched.`,
  );
}

/** @throws CommandEnd where it is interrupted */
export async function ask(message: string): Promise<string> {
  const answer = await text({ message, output: process.stderr });
  if (isCancel(answer)) throw new CommandEnd(EXIT.interrupted, 'Interrupted. Nothing was touched.');
  return answer?.trim() ?? '';
}
