import type { Command } from 'commander';
import {
  deadLetters,
  discardDeadLetter,
  reopenDeadLetter,
  type DeadFilter,
  type DeadLetterOf,
} from '../ledger/dead-letters.ts';
import { accountOf } from '../runtime/config/config.ts';
import { CommandEnd, EXIT, noBatch } from './exit.ts';
import { withStore, type CommonOptions, type Store } from './session.ts';
import { count, print, printable, printJson, say } from './text/terminal.ts';

interface DeadOptions extends CommonOptions {
  readonly batch?: string;
  readonly code?: string;
  readonly instance?: string;
  readonly all?: boolean;
  readonly json?: boolean;
}

export function addDead(program: Command): void {
  const dead = program.command('dead').summary('items that ended dead: list, retry or discard them').helpCommand(false);
  const add = (name: string, summary: string, run: (store: Store, options: DeadOptions) => Promise<void>): void => {
    const command = dead
      .command(name)
      .description(summary)
      .option('--batch <batch>', 'only of this batch')
      .option('--code <code>', 'only with this code')
      .option('--instance <id>', 'only of this instance');
    if (name !== 'list') command.option('--all', 'every dead letter of every batch');
    command
      .option('--json', name === 'list' ? 'print one object a line' : 'print one object')
      .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
      .action((options: DeadOptions) => withStore(options, (store) => run(store, options)));
  };
  add('list', 'Shows each dead letter with its code, message and earlier deaths.', list);
  add('retry', 'Makes dead letters pending again; they go through the same limiter, and their history is kept.', retry);
  add('discard', 'Puts dead letters aside. Their items stay counted as dead, and stay in the report.', discard);
}

async function list(store: Store, options: DeadOptions): Promise<void> {
  let found = 0;
  for await (const letter of letters(store, options)) {
    found += 1;
    if (options.json === true) printJson(letter);
    else print(describeLetter(letter));
  }
  if (options.json !== true) say(found === 0 ? 'No dead letter.' : `${count(found, 'dead letter')}.`);
}

async function retry(store: Store, options: DeadOptions): Promise<void> {
  refuseUnsaid(options);
  let retried = 0;
  let cancelled = 0;
  let unknown = 0;
  for await (const { batch, n, instanceId } of letters(store, options)) {
    // Nobody could work on it: a malformed job, or an instance that is still not configured.
    if (accountOf(store.config, instanceId) === undefined) {
      unknown += 1;
      continue;
    }
    const result = await reopenDeadLetter(store.redis, store.ledger, batch, n);
    if (result === 'reopened') retried += 1;
    if (result === 'cancelled') cancelled += 1;
    if (result === 'malformed') unknown += 1;
  }
  if (options.json === true) printJson({ retried, cancelled, unknown });
  say(`${count(retried, 'dead letter')} will be tried again.`);
  if (cancelled > 0) say(`${count(cancelled, 'letter')} left alone: cancelled batches stay so.`);
  if (unknown > 0) {
    say(
      `${count(unknown, 'letter')} left alone: malformed, or of an instance that no account has. Add it under accounts.<name>.instances, or discard them.`,
    );
  }
}

async function discard(store: Store, options: DeadOptions): Promise<void> {
  refuseUnsaid(options);
  let discarded = 0;
  for await (const { batch, n } of letters(store, options)) {
    if (await discardDeadLetter(store.redis, store.ledger, batch, n)) discarded += 1;
  }
  if (options.json === true) printJson({ discarded });
  say(`${count(discarded, 'dead letter')} discarded.`);
}

/** Other batches may hold letters that nobody thinks of now; a retry deletes certificates. */
function refuseUnsaid({ batch, code, instance, all }: DeadOptions): void {
  const isFiltered = batch !== undefined || code !== undefined || instance !== undefined;
  if (isFiltered === (all !== true)) return;
  throw new CommandEnd(
    EXIT.usage,
    isFiltered
      ? '--all means every dead letter of every batch: leave it out, or leave out what narrows it.'
      : 'Say which dead letters: --batch, --code or --instance narrow them, --all means every one of every batch. certsweep dead list shows them.',
  );
}

async function* letters({ redis, ledger, where }: Store, options: DeadOptions): AsyncGenerator<DeadLetterOf> {
  const { batch, code, instance } = options;
  if (batch !== undefined && (await ledger.batch(batch)) === undefined) {
    throw noBatch(batch, where);
  }
  const filter: DeadFilter = {
    ...(batch !== undefined && { batch }),
    ...(code !== undefined && { code }),
    ...(instance !== undefined && { instanceId: instance }),
  };
  yield* deadLetters(redis, ledger, filter);
}

function describeLetter(letter: DeadLetterOf): string {
  const { batch, n, instanceId, caSn, deviceSn, code, message, attempts, at, history } = letter;
  const what = `${batch} #${n}  ${instanceId} ${caSn} ${deviceSn}`;
  const lives = history.length === 0 ? '' : `, died ${history.length + 1} times`;
  return `${printable(what)}\n  ${printable(code)}: ${printable(message)} (${count(attempts, 'call')}${lives}, ${new Date(at).toISOString()})`;
}
