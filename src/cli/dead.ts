import { count } from '../core/counting.ts';
import { Option, type Command } from 'commander';
import {
  discardDeadLetters,
  listDeadLetters,
  retryDeadLetters,
  type DeadLetterOf,
  type LetterDeed,
  type LetterSelection,
  type NotDone,
  type SelectionRefused,
} from '../app/dead-letters.ts';
import { printable } from '../core/printable.ts';
import type { Store } from '../app/store.ts';
import { CommandEnd, EXIT, noBatch } from './exit.ts';
import {
  addMotive,
  confirmedNumber,
  motiveOf,
  reasonAsker,
  reasonRequired,
  unconfirmed,
  type ConfirmOptions,
  type MotiveOptions,
} from './motive.ts';
import { withStore, type CommonOptions } from './session.ts';
import { printJson, printText, say } from './text/terminal.ts';
import { wholeNumber } from './whole-number.ts';

interface DeadOptions extends CommonOptions, MotiveOptions, ConfirmOptions {
  readonly batch?: string;
  readonly code?: string;
  readonly instance?: string;
  readonly all?: boolean;
  readonly json?: boolean;
}

export function addDead(program: Command): void {
  const dead = program.command('dead').summary('dead letters: list, retry or discard them').helpCommand(false);
  const add = (name: string, summary: string, run: (store: Store, options: DeadOptions) => Promise<void>): void => {
    const command = dead
      .command(name)
      .description(summary)
      .option('--batch <batch>', 'only of this batch')
      .option('--code <code>', 'only with this code')
      .option('--instance <id>', 'only of this instance');
    if (name !== 'list') {
      command
        .option('--all', 'every dead letter of every batch')
        .addOption(new Option('--yes', 'do not ask for confirmation').conflicts('confirm'))
        .option('--confirm <n>', 'confirm the number of dead letters without being asked', (value: string) =>
          wholeNumber('--confirm', value),
        );
      addMotive(command);
    }
    command
      .option('--json', name === 'list' ? 'print one object a line' : 'print one object')
      .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
      .action((options: DeadOptions) => withStore(options, (store) => run(store, options)));
  };
  add('list', 'Shows each dead letter with its code, message and earlier deaths.', list);
  add('retry', 'Makes dead letters pending again; they go through the same limiter, and their history is kept.', retry);
  add('discard', 'Discards dead letters. Their items stay counted as dead, and stay in the report.', discard);
}

async function list(store: Store, options: DeadOptions): Promise<void> {
  const result = await listDeadLetters(store, selectionOf(options));
  if (result.kind === 'no-batch') throw noBatch(result.batch, store.where);
  let found = 0;
  for await (const letter of result.letters) {
    found += 1;
    if (options.json === true) printJson(letter);
    else printText(describeLetter(letter));
  }
  if (options.json !== true) say(found === 0 ? 'No dead letter.' : `${count(found, 'dead letter')}.`);
}

async function retry(store: Store, options: DeadOptions): Promise<void> {
  const result = await retryDeadLetters(
    store,
    selectionOf(options),
    deedOf(options, (letters) => `This makes new calls for ${count(letters, 'device certificate')}.`),
  );
  if (result.kind !== 'retried') throw notDone(result, store, options);
  const { retried, cancelled, unknown, refused } = result;
  if (options.json === true) printJson({ retried, cancelled, unknown, refused });
  say(`${count(retried, 'dead letter')} will be tried again.`);
  if (cancelled > 0) say(`${count(cancelled, 'letter')} skipped: the batch is cancelled.`);
  if (refused > 0) {
    say(
      `${count(refused, 'letter')} skipped: the account refused the jobs. Discard them; to revoke the certificates anyway, give the --code.`,
    );
  }
  if (unknown > 0) {
    say(
      `${count(unknown, 'letter')} skipped: malformed, or of an instance that no account has. Add it under accounts.<name>.instances, or discard them.`,
    );
  }
}

async function discard(store: Store, options: DeadOptions): Promise<void> {
  const result = await discardDeadLetters(
    store,
    selectionOf(options),
    deedOf(options, (letters) => `This discards ${count(letters, 'dead letter')}. They cannot be retried any more.`),
  );
  if (result.kind !== 'discarded') throw notDone(result, store, options);
  const { discarded } = result;
  if (options.json === true) printJson({ discarded });
  say(`${count(discarded, 'dead letter')} discarded.`);
}

function selectionOf({ batch, code, instance, all }: DeadOptions): LetterSelection {
  return {
    ...(batch !== undefined && { batch }),
    ...(code !== undefined && { code }),
    ...(instance !== undefined && { instanceId: instance }),
    ...(all !== undefined && { all }),
  };
}

function deedOf(options: DeadOptions, effect: (letters: number) => string): LetterDeed {
  return {
    ...motiveOf(options),
    ...reasonAsker(options),
    confirm: (letters) => confirmedNumber(letters, effect(letters), options),
  };
}

function notDone(result: NotDone, store: Store, options: DeadOptions): CommandEnd {
  switch (result.kind) {
    case 'unconfirmed':
      return unconfirmed(result.letters, 'dead letters', options);
    case 'reason-required':
      return reasonRequired();
    case 'contradictory':
    case 'nothing-selected':
    case 'no-batch':
      return refusal(result, store);
  }
}

function refusal(refused: SelectionRefused, { where }: Store): CommandEnd {
  switch (refused.kind) {
    case 'contradictory':
      return new CommandEnd(
        EXIT.usage,
        '--all means every dead letter of every batch: leave it out, or leave out the filters.',
      );
    case 'nothing-selected':
      return new CommandEnd(
        EXIT.usage,
        'Say which dead letters: --batch, --code or --instance narrow them, --all means every one of every batch. certsweep dead list shows them.',
      );
    case 'no-batch':
      return noBatch(refused.batch, where);
  }
}

function describeLetter(letter: DeadLetterOf): string {
  const { batch, n, instanceId, caSn, deviceSn, code, message, calls, at, history } = letter;
  const deaths = history.length === 0 ? '' : ` (${history.length + 1} deaths in all)`;
  const lines = [
    `${batch}  item ${n}`,
    `  ${instanceId} ${caSn} ${deviceSn}`,
    `  died ${new Date(at).toISOString()} after ${count(calls, 'call')}${deaths}`,
    `  ${code}: ${message}`,
  ];
  return lines.map(printable).join('\n');
}
