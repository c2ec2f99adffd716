import { count } from '../core/counting.ts';
import { Argument, type Command } from 'commander';
import { changeBatch, changePriority, forget, forgetBefore, type Change } from '../app/control.ts';
import type { Priority } from '../app/submit.ts';
import type { Store } from '../app/store.ts';
import { CommandEnd, EXIT, noBatch } from './exit.ts';
import { addMotive, motiveOf, reasonRequired, type MotiveOptions } from './motive.ts';
import { withStore, type CommonOptions } from './session.ts';
import { printJson, say } from './text/terminal.ts';

type BatchOptions = CommonOptions & MotiveOptions;

const COMMANDS: readonly { readonly name: Change; readonly summary: string; readonly done: string }[] = [
  {
    name: 'pause',
    summary: 'pause a batch: it makes no further calls',
    done: 'is paused; certsweep resume continues it',
  },
  { name: 'resume', summary: 'continue a paused batch', done: 'continues' },
  {
    name: 'cancel',
    summary: 'give up the rest of a batch; there is no way back',
    done: 'is cancelled; workers settle what is left as cancelled, after the calls under way',
  },
];

interface ForgetOptions extends CommonOptions, MotiveOptions {
  readonly before?: string;
}

interface PriorityOptions extends BatchOptions {
  readonly json?: boolean;
}

/** A time without a zone would be another moment on another host. */
const ISO_TIME = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/;

/** The commands that change the state of a batch, and the one that ends its record. */
export function addBatchCommands(program: Command): void {
  const add = (name: string, description: string): Command =>
    addMotive(program.command(name).description(description).argument('<batch>')).option(
      '--config <file>',
      'configuration; else CERTSWEEP_CONFIG',
    );
  add(
    'forget',
    'remove a finished batch and its report from Redis: first write the report, and retry or discard its dead letters',
  )
    .option(
      '--before <time>',
      'for a direct batch: remove what was settled before this time, like 2026-01-31 or 2026-01-31T12:00:00Z',
    )
    .action((batch: string, options: ForgetOptions) =>
      withStore(options, (store) =>
        options.before === undefined
          ? sayForgotten(store, batch, options)
          : sayForgottenBefore(store, batch, options.before, options),
      ),
    );
  for (const { name, summary, done } of COMMANDS) {
    add(name, summary).action((batch: string, options: BatchOptions) =>
      withStore(options, async (store) => {
        await change(store, batch, name, options);
        say(`Batch ${batch} ${done}.`);
      }),
    );
  }
}

export function addPriority(program: Command): void {
  const command = program
    .command('priority')
    .summary('put a batch before the others, or behind them')
    .description(
      'Changes the priority of a running or paused batch: urgent goes before bulk. Items that are in the queues already, ten seconds of work at most, keep their place.',
    )
    .argument('<batch>')
    .addArgument(new Argument('<p>', 'urgent or bulk').choices(['urgent', 'bulk']));
  addMotive(command)
    .option('--json', 'print one object: batch, priority, isChanged')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .addHelpText('after', '\nExample:\n  certsweep priority <batch> urgent --reason "stolen devices"')
    .action((batch: string, priority: Priority, options: PriorityOptions) =>
      withStore(options, (store) => prioritize(store, batch, priority, options)),
    );
}

async function prioritize(store: Store, batch: string, priority: Priority, options: PriorityOptions): Promise<void> {
  const result = await changePriority(store, batch, priority, motiveOf(options));
  switch (result.kind) {
    case 'changed':
    case 'same':
      if (options.json === true) printJson({ batch, priority, isChanged: result.kind === 'changed' });
      say(`Batch ${batch} ${result.kind === 'changed' ? 'is now' : 'was already'} ${priority}.`);
      return;
    case 'refused':
      throw new CommandEnd(EXIT.refused, `Batch ${batch} is ${result.state}: a priority has no effect.`);
    case 'direct':
      throw new CommandEnd(
        EXIT.refused,
        `Batch ${batch} is the batch of single certificates: each of them has its own priority.`,
      );
    case 'reason-required':
      throw reasonRequired();
    case 'no-batch':
      throw noBatch(batch, store.where);
  }
}

async function sayForgotten(store: Store, batch: string, options: BatchOptions): Promise<void> {
  switch (await forget(store, batch, motiveOf(options))) {
    case 'forgotten':
      say(`Batch ${batch} is forgotten.`);
      return;
    case 'refused':
      throw new CommandEnd(
        EXIT.refused,
        `Batch ${batch} is not finished. Only a completed or cancelled batch without pending items can be forgotten. For direct-<account>, which never ends, add --before <time>.`,
      );
    case 'has-letters':
      throw new CommandEnd(
        EXIT.refused,
        `Batch ${batch} has dead letters: certsweep dead list --batch ${batch} shows them. Retry them, or discard them with certsweep dead discard --batch ${batch}.`,
      );
    case 'reason-required':
      throw reasonRequired();
    case 'no-batch':
      throw noBatch(batch, store.where);
  }
}

async function sayForgottenBefore(store: Store, batch: string, text: string, options: BatchOptions): Promise<void> {
  const before = ISO_TIME.test(text) ? new Date(text) : undefined;
  if (before === undefined || Number.isNaN(before.getTime())) {
    throw new CommandEnd(
      EXIT.usage,
      `--before ${JSON.stringify(text)} is not a time: write it like 2026-01-31 or 2026-01-31T12:00:00Z.`,
    );
  }
  const result = await forgetBefore(store, batch, before, motiveOf(options));
  switch (result.kind) {
    case 'forgotten':
      say(
        `${count(result.items, 'item')} of batch ${batch}, settled before ${before.toISOString()}: forgotten, and still counted. Items with a dead letter stay.`,
      );
      return;
    case 'not-direct':
      throw new CommandEnd(
        EXIT.refused,
        `Batch ${batch} is not direct-<account>: it is forgotten as a whole, without --before.`,
      );
    case 'reason-required':
      throw reasonRequired();
    case 'no-batch':
      throw noBatch(batch, store.where);
  }
}

async function change(store: Store, batch: string, name: Change, options: BatchOptions): Promise<void> {
  const result = await changeBatch(store, batch, name, motiveOf(options));
  switch (result.kind) {
    case 'changed':
      return;
    case 'reason-required':
      throw reasonRequired();
    case 'refused':
      throw new CommandEnd(EXIT.refused, `Batch ${batch} is ${result.state}: there is nothing to ${name}.`);
    case 'no-batch':
      throw noBatch(batch, store.where);
  }
}
