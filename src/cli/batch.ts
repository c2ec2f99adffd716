import type { Command } from 'commander';
import { changeBatch, forget, type Change } from '../app/control.ts';
import type { Store } from '../app/store.ts';
import { CommandEnd, EXIT, noBatch } from './exit.ts';
import { addMotive, motiveOf, reasonRequired, type MotiveOptions } from './motive.ts';
import { withStore, type CommonOptions } from './session.ts';
import { say } from './text/terminal.ts';

type BatchOptions = CommonOptions & MotiveOptions;

const COMMANDS: readonly { readonly name: Change; readonly summary: string; readonly done: string }[] = [
  {
    name: 'pause',
    summary: 'hold a batch: no further call of it is made',
    done: 'is paused; certsweep resume continues it',
  },
  { name: 'resume', summary: 'continue a paused batch', done: 'continues' },
  {
    name: 'cancel',
    summary: 'give up what is left of a batch, for good',
    done: 'is cancelled; workers settle what is left as cancelled, after the calls under way',
  },
];

/** The commands that change the state of a batch, and the one that ends its record. */
export function addBatchCommands(program: Command): void {
  const add = (name: string, description: string): Command =>
    addMotive(program.command(name).description(description).argument('<batch>')).option(
      '--config <file>',
      'configuration; else CERTSWEEP_CONFIG',
    );
  add(
    'forget',
    'take a finished batch out of Redis, its report included: write the report first, and retry or discard its dead letters',
  ).action((batch: string, options: BatchOptions) =>
    withStore(options, (store) => sayForgotten(store, batch, options)),
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

async function sayForgotten(store: Store, batch: string, options: BatchOptions): Promise<void> {
  switch (await forget(store, batch, motiveOf(options))) {
    case 'forgotten':
      say(`Batch ${batch} is forgotten.`);
      return;
    case 'refused':
      throw new CommandEnd(
        EXIT.refused,
        `Batch ${batch} is not finished, or stands for the jobs that other programs add: only a completed or cancelled batch without pending items can be forgotten.`,
      );
    case 'has-letters':
      throw new CommandEnd(
        EXIT.refused,
        `Batch ${batch} has dead letters: certsweep dead list --batch ${batch} shows them. Retry them, or put them aside with certsweep dead discard --batch ${batch}.`,
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
    case 'is-direct':
      throw new CommandEnd(
        EXIT.refused,
        `${batch} takes in the jobs that other programs add, so it cannot be cancelled: pause it, and stop them.`,
      );
    case 'refused':
      throw new CommandEnd(EXIT.refused, `Batch ${batch} is ${result.state}: there is nothing to ${name}.`);
    case 'no-batch':
      throw noBatch(batch, store.where);
  }
}
