import { count } from '../core/counting.ts';
import { createHash, type Hash } from 'node:crypto';
import { Option, type Command } from 'commander';
import { ACTIONS, DEFAULT_ACTION, type Action } from '../core/action.ts';
import type { RetireDetails } from '../core/retirement.ts';
import type { Store } from '../app/store.ts';
import { checkPlan, submitPlan, type PlanRefused } from '../app/submit-plan.ts';
import {
  checkManifest,
  submitManifest,
  type ManifestSummary,
  type Priority,
  type SubmitOutcome,
} from '../app/submit.ts';
import type { ManifestRow } from '../manifest/row.ts';
import type { Config } from '../runtime/config/config.ts';
import { CommandEnd, EXIT } from './exit.ts';
import {
  addMotive,
  confirmedNumber,
  motiveOf,
  reasonAsker,
  unconfirmed,
  type ConfirmOptions,
  type MotiveOptions,
} from './motive.ts';
import { openManifest } from './open-manifest.ts';
import { sourceOf } from './submit-source.ts';
import { tellSubmitted } from './submitted.ts';
import { describeEffect, verbOf } from './text/action.ts';
import { describeSummary } from './text/plan.ts';
import { describeFault } from './text/planned.ts';
import { configOf, withStore, type CommonOptions } from './session.ts';
import { printJson, say } from './text/terminal.ts';
import { timeSpanMs } from './time-span.ts';
import { wholeNumber } from './whole-number.ts';

interface SubmitOptions extends CommonOptions, MotiveOptions, ConfirmOptions {
  readonly plan?: string;
  readonly action?: Action;
  readonly soak?: number;
  readonly deviceDestroyed?: boolean;
  readonly execute?: boolean;
  readonly wait?: boolean;
  readonly priority: Priority;
  readonly instance?: string;
  readonly ca?: string;
  readonly skipInvalid?: boolean;
  readonly allowUnterminated?: boolean;
  readonly json?: boolean;
}

export function addSubmit(program: Command): void {
  const command = program
    .command('submit')
    .summary('check a manifest, and with --execute submit it')
    .description(
      'Reads a manifest of certificates (columns or keys instanceId, caSn, deviceSn) and prints what would be done. It is a dry run that touches nothing, unless --execute is given.',
    )
    .argument('[manifest]', 'a .csv or .ndjson file, or - for standard input')
    .option('--plan <file>', 'submit what certsweep plan wrote, and read nothing else')
    .addOption(new Option('--action <a>', 'what to do with them; default: delete').choices([...ACTIONS]))
    .option(
      '--soak <span>',
      'for retire: how long they stay inactive before they may be deleted; default: 24h',
      (value: string) => timeSpanMs('--soak', value),
    )
    .option('--device-destroyed', 'for retire: also delete while the CA is active, because no device can come back')
    .option('--execute', 'store the batch, so that the workers run it')
    .addOption(new Option('--yes', 'do not ask for confirmation').conflicts('confirm'))
    .option('--confirm <n>', 'confirm the number of certificates without being asked', (value: string) =>
      wholeNumber('--confirm', value),
    )
    .option('--wait', 'wait until every item is settled, showing progress on stderr')
    .addOption(new Option('--priority <p>', 'urgent runs before bulk').choices(['urgent', 'bulk']).default('bulk'))
    .option('--instance <id>', 'instance of every row that names none')
    .option('--ca <sn>', 'CA serial number of every row that names none');
  addMotive(command)
    .option('--skip-invalid', 'leave bad rows out instead of refusing the manifest')
    .option('--allow-unterminated', 'accept a last row of a CSV without a line end; otherwise it counts as cut off')
    .option('--json', 'print one object: batch, action, accepted, duplicates, rejected; with exit code 4 also outcome')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .addHelpText(
      'after',
      '\nExamples:\n  certsweep submit manifest.csv --action inactivate --execute --confirm 1234\n  certsweep submit manifest.csv --action retire --soak 24h --execute',
    )
    .action((manifest: string | undefined, options: SubmitOptions) => submit(manifest, options));
}

async function submit(manifest: string | undefined, options: SubmitOptions): Promise<void> {
  const isExecution = options.execute === true;
  if (!isExecution && (options.yes === true || options.confirm !== undefined || options.wait === true)) {
    throw new CommandEnd(
      EXIT.usage,
      'Without --execute this is a dry run: --yes, --confirm and --wait have no effect. Add --execute to submit.',
    );
  }
  if (options.action !== 'retire' && (options.soak !== undefined || options.deviceDestroyed !== undefined))
    throw new CommandEnd(EXIT.usage, '--soak and --device-destroyed belong to --action retire.');
  const source = sourceOf(manifest, options);
  // A plan is good once: Redis knows whether it was used.
  if ('plan' in source) {
    await withStore(options, (store) =>
      isExecution ? execute(source, options, store) : rehearsePlan(source.plan, options, store),
    );
    return;
  }
  const hash = createHash('sha256');
  const rows = await openManifest(source.manifest, options, hash);
  if (isExecution) await withStore(options, (store) => execute({ rows, hash }, options, store));
  else await rehearse(rows, options);
}

async function rehearse(rows: AsyncIterable<readonly ManifestRow[]>, options: SubmitOptions): Promise<void> {
  const config = await configOf(options);
  const { kind, summary } = await checkManifest(config, rows, options.skipInvalid === true);
  const { action = DEFAULT_ACTION } = options;
  sayPlan(summary, action, config, options);
  if (kind !== 'acceptable') throw refusal({ kind, summary }, options);
  sayRehearsed(summary, action, options);
}

async function rehearsePlan(plan: string, options: SubmitOptions, store: Store): Promise<void> {
  const checked = await checkPlan(store, plan);
  if (checked.kind === 'plan-refused') throw planRefusal(plan, checked);
  sayPlan(checked.summary, checked.action, store.config, options);
  sayRehearsed(checked.summary, checked.action, options);
}

function sayRehearsed(
  { accepted, duplicates, rejected }: ManifestSummary,
  action: Action,
  options: SubmitOptions,
): void {
  if (options.json === true) printJson({ batch: null, action, accepted, duplicates, rejected });
  else
    say(
      `Dry run: nothing was touched. To ${verbOf(action)} ${accepted === 1 ? 'it' : 'them'}: the same command with --execute.`,
    );
}

async function execute(
  source: { readonly rows: AsyncIterable<readonly ManifestRow[]>; readonly hash: Hash } | { readonly plan: string },
  options: SubmitOptions,
  store: Store,
): Promise<void> {
  const { priority, action = DEFAULT_ACTION, skipInvalid = false } = options;
  // A plan says its own.
  let doing = action;
  const request = {
    priority,
    ...motiveOf(options),
    ...reasonAsker(options),
    confirm(summary: ManifestSummary, what: Action) {
      doing = what;
      sayPlan(summary, what, store.config, options);
      const { accepted } = summary;
      return confirmedNumber(accepted, describeEffect(what, accepted), options);
    },
  };
  const result =
    'plan' in source
      ? await submitPlan(store, source.plan, request)
      : await submitManifest(store, source.rows, {
          ...request,
          action,
          skipInvalid,
          retire: retireOf(options),
          manifestSha256: () => source.hash.digest('hex'),
        });
  switch (result.kind) {
    case 'bad-rows':
    case 'empty':
      sayPlan(result.summary, action, store.config, options);
      throw refusal(result, options);
    case 'unconfirmed':
      throw refusal(result, options);
    case 'plan-refused':
      throw planRefusal(options.plan ?? '', result);
    case 'running':
    case 'at-work':
    case 'awaits-approval':
    case 'reason-required':
    case 'used':
    case 'claim-lost':
    case 'overtaken':
    case 'gone':
    case 'unknown':
      await tellSubmitted(result, doing, options, store);
  }
}

function retireOf({ soak, deviceDestroyed }: SubmitOptions): Partial<RetireDetails> {
  return { ...(soak !== undefined && { soakMs: soak }), ...(deviceDestroyed !== undefined && { deviceDestroyed }) };
}

function sayPlan(summary: ManifestSummary, action: Action, config: Config, options: SubmitOptions): void {
  if (options.json !== true || summary.rejected > 0) say(describeSummary(summary, config, action));
}

function planRefusal(plan: string, { fault }: PlanRefused): CommandEnd {
  return new CommandEnd(EXIT.refused, describeFault(plan, fault));
}

function refusal(
  refused: Extract<SubmitOutcome, { readonly kind: 'bad-rows' | 'empty' | 'unconfirmed' }>,
  options: SubmitOptions,
): CommandEnd {
  const { accepted, rejected } = refused.summary;
  switch (refused.kind) {
    case 'bad-rows': {
      const them = rejected === 1 ? 'it' : 'them';
      return new CommandEnd(
        EXIT.usage,
        `The manifest is refused for ${count(rejected, 'bad row')}: fix ${them}, or leave ${them} out with --skip-invalid. Nothing was touched.`,
      );
    }
    case 'empty':
      return new CommandEnd(
        EXIT.usage,
        `The manifest has no certificate to ${verbOf(options.action ?? DEFAULT_ACTION)}. Nothing was touched.`,
      );
    case 'unconfirmed':
      return unconfirmed(accepted, 'certificates', options);
  }
}
