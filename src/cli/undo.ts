import { pendingOf } from '../core/batch.ts';
import { count } from '../core/counting.ts';
import { Option, type Command } from 'commander';
import type { Store } from '../app/store.ts';
import type { ManifestSummary, Priority } from '../app/submit.ts';
import { checkUndo, undoBatch, type EarlierUndo, type LeftAlone, type NotUndoable } from '../app/undo.ts';
import { CommandEnd, EXIT, noBatch } from './exit.ts';
import {
  addMotive,
  confirmedNumber,
  motiveOf,
  reasonAsker,
  unconfirmed,
  type ConfirmOptions,
  type MotiveOptions,
} from './motive.ts';
import { withStore, type CommonOptions } from './session.ts';
import { tellSubmitted } from './submitted.ts';
import { describeEffect } from './text/action.ts';
import { describeSummary } from './text/plan.ts';
import { printJson, say } from './text/terminal.ts';
import { wholeNumber } from './whole-number.ts';

interface UndoOptions extends CommonOptions, MotiveOptions, ConfirmOptions {
  readonly execute?: boolean;
  readonly wait?: boolean;
  readonly priority: Priority;
  readonly json?: boolean;
}

export function addUndo(program: Command): void {
  const command = program
    .command('undo')
    .summary('activate again what a batch has inactivated')
    .description(
      'Activates what a finished batch has inactivated and not deleted, as a batch of its own. It is a dry run that touches nothing, unless --execute is given. Cancel a running batch first.',
    )
    .argument('<batch>', 'one of --action inactivate or retire')
    .option('--execute', 'store the batch, so that the workers run it')
    .addOption(new Option('--yes', 'do not ask for confirmation').conflicts('confirm'))
    .option('--confirm <n>', 'confirm the number of certificates without being asked', (value: string) =>
      wholeNumber('--confirm', value),
    )
    .option('--wait', 'wait until every item is settled, showing progress on stderr')
    .addOption(new Option('--priority <p>', 'urgent runs before bulk').choices(['urgent', 'bulk']).default('bulk'));
  addMotive(command)
    .option(
      '--json',
      'print one object: batch, action, accepted, duplicates, rejected; of a dry run also what is left alone, and undoneBy',
    )
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .addHelpText('after', '\nExample:\n  certsweep undo <batch> --execute --confirm 1234 --reason "wrong list"')
    .action((batch: string, options: UndoOptions) =>
      withStore(options, (store) => (options.execute === true ? execute : rehearse)(store, batch, options)),
    );
}

async function rehearse(store: Store, batch: string, options: UndoOptions): Promise<void> {
  if (options.yes === true || options.confirm !== undefined || options.wait === true)
    throw new CommandEnd(
      EXIT.usage,
      'Without --execute this is a dry run: --yes, --confirm and --wait have no effect. Add --execute to submit.',
    );
  const checked = await checkUndo(store, batch);
  if (!('summary' in checked)) throw refusal(store, batch, checked);
  const { kind, summary, left, undoneBy } = checked;
  sayPlan(store, summary, { batch, left, undoneBy }, options);
  const { accepted, duplicates, rejected } = summary;
  if (options.json === true)
    printJson({
      batch: null,
      action: 'activate',
      accepted,
      duplicates,
      rejected,
      ...left,
      undoneBy: undoneBy.map(({ id }) => id),
    });
  if (kind === 'empty') throw nothingInactive(batch);
  if (kind === 'bad-rows') throw accountGone();
  if (options.json !== true)
    say(`Dry run: nothing was touched. To activate ${them(accepted)}: the same command with --execute.`);
}

async function execute(store: Store, batch: string, options: UndoOptions): Promise<void> {
  const { priority } = options;
  const result = await undoBatch(store, batch, {
    priority,
    ...motiveOf(options),
    ...reasonAsker(options),
    confirm(summary, left, undoneBy) {
      sayPlan(store, summary, { batch, left, undoneBy }, options);
      return confirmedNumber(summary.accepted, describeEffect('activate', summary.accepted), options);
    },
  });
  switch (result.kind) {
    case 'no-batch':
    case 'other-action':
    case 'unfinished':
      throw refusal(store, batch, result);
    case 'empty':
      throw nothingInactive(batch);
    case 'bad-rows':
      say(describeSummary(result.summary, store.config, 'activate'));
      throw accountGone();
    case 'unconfirmed':
      throw unconfirmed(result.summary.accepted, 'certificates', options);
    case 'running':
    case 'at-work':
    case 'awaits-approval':
    case 'reason-required':
    case 'used':
    case 'claim-lost':
    case 'overtaken':
    case 'gone':
    case 'unknown':
      await tellSubmitted(result, 'activate', options, store);
  }
}

function nothingInactive(batch: string): CommandEnd {
  return new CommandEnd(
    EXIT.refused,
    `Batch ${batch} has left nothing inactive that was active before: there is nothing to undo.`,
  );
}

function accountGone(): CommandEnd {
  return new CommandEnd(
    EXIT.refused,
    'The configuration no longer has an account for some of these certificates: add it. Nothing was touched.',
  );
}

function sayPlan(
  store: Store,
  summary: ManifestSummary,
  {
    batch,
    left,
    undoneBy,
  }: { readonly batch: string; readonly left: LeftAlone; readonly undoneBy: readonly EarlierUndo[] },
  options: UndoOptions,
): void {
  if (options.json === true) return;
  say(describeSummary(summary, store.config, 'activate'));
  const { deleted, alreadyInactive, keptActive, dead } = left;
  if (deleted > 0)
    say(
      `${count(deleted, 'certificate')} of the batch ${deleted === 1 ? 'is' : 'are'} deleted: that cannot be undone.`,
    );
  if (alreadyInactive > 0) say(`${count(alreadyInactive, 'certificate')} inactive before the batch: left inactive.`);
  if (keptActive > 0) say(`${count(keptActive, 'certificate')} already active.`);
  if (dead > 0) say(`${count(dead, 'item')} dead: see certsweep dead list --batch ${batch}.`);
  for (const { id, state, counts } of undoneBy) {
    const { activated = 0, alreadyActive = 0 } = counts;
    const pending = pendingOf(counts);
    const rest = pending === 0 ? '' : `, ${count(pending, 'item')} pending`;
    say(`Batch ${id} undoes it already: ${state}, ${count(activated + alreadyActive, 'certificate')} active${rest}.`);
  }
}

function refusal({ where }: Store, batch: string, why: NotUndoable): CommandEnd {
  switch (why.kind) {
    case 'no-batch':
      return noBatch(batch, where);
    case 'other-action':
      return new CommandEnd(
        EXIT.refused,
        why.action === 'delete'
          ? `Batch ${batch} deletes: that cannot be undone. Nothing was touched.`
          : `Batch ${batch} inactivates nothing: there is nothing to undo. Nothing was touched.`,
      );
    case 'unfinished':
      return new CommandEnd(
        EXIT.refused,
        why.state === 'cancelled'
          ? `Batch ${batch} is cancelled, with ${count(why.pending, 'item')} still pending. Try again when a worker has ended them. Nothing was touched.`
          : `Batch ${batch} is ${why.state}, with ${count(why.pending, 'item')} pending. Cancel it first (certsweep cancel ${batch}): what it has inactivated stays inactive, and can then be undone. Nothing was touched.`,
      );
  }
}

function them(certificates: number): string {
  return certificates === 1 ? 'it' : 'them';
}
