import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { isCancel, text } from '@clack/prompts';
import { Option, type Command } from 'commander';
import type { Priority } from '../ledger/batch-record.ts';
import { formatOf, readManifest } from '../manifest/read-manifest.ts';
import { ManifestError } from '../manifest/fault.ts';
import type { ManifestRow } from '../manifest/row.ts';
import { planManifest, surveyManifest } from '../queue/submit/submission.ts';
import type { ManifestSummary } from '../queue/submit/manifest-summary.ts';
import { accountOf, type Config } from '../runtime/config/config.ts';
import { CommandEnd, EXIT } from './exit.ts';
import { describeSummary, describeUnknown } from './text/plan.ts';
import { configOf, withStore, type CommonOptions, type Store } from './session.ts';
import { count, groupDigits, printJson, say } from './text/terminal.ts';
import { ownersOf, unattended } from './unattended.ts';
import { waitForBatch } from './wait.ts';

interface SubmitOptions extends CommonOptions {
  readonly execute?: boolean;
  readonly yes?: boolean;
  readonly confirm?: number;
  readonly wait?: boolean;
  readonly priority: Priority;
  readonly instance?: string;
  readonly ca?: string;
  readonly requestedBy?: string;
  readonly reason?: string;
  readonly skipInvalid?: boolean;
  readonly allowUnterminated?: boolean;
  readonly json?: boolean;
}

export function addSubmit(program: Command): void {
  program
    .command('submit')
    .summary('check a manifest, and with --execute revoke what it lists')
    .description(
      'Reads a manifest of certificates (columns or keys instanceId, caSn, deviceSn) and prints the plan. It is a dry run that touches nothing, unless --execute is given.',
    )
    .argument('<manifest>', 'a .csv or .ndjson file, or - for standard input')
    .option('--execute', 'store the batch and have the workers revoke it')
    .addOption(new Option('--yes', 'do not ask for confirmation').conflicts('confirm'))
    .option('--confirm <n>', 'confirm the number of certificates without being asked', wholeNumber)
    .option('--wait', 'wait until every item is settled, showing progress on stderr')
    .addOption(new Option('--priority <p>', 'urgent runs before bulk').choices(['urgent', 'bulk']).default('bulk'))
    .option('--instance <id>', 'instance of every row that names none')
    .option('--ca <sn>', 'CA serial number of every row that names none')
    .option('--requested-by <who>', 'kept with the batch')
    .option('--reason <text>', 'kept with the batch')
    .option('--skip-invalid', 'leave bad rows out instead of refusing the manifest')
    .option(
      '--allow-unterminated',
      'take the last row of a CSV without a line end, for tools that write none; else it counts as cut off',
    )
    .option('--json', 'print one object: batch, accepted, duplicates, rejected; with exit code 4 also outcome')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .action((manifest: string, options: SubmitOptions) => submit(manifest, options));
}

async function submit(manifest: string, options: SubmitOptions): Promise<void> {
  const isExecution = options.execute === true;
  if (!isExecution && (options.yes === true || options.confirm !== undefined || options.wait === true)) {
    throw new CommandEnd(
      EXIT.usage,
      'Without --execute this is a dry run: --yes, --confirm and --wait have no meaning. Add --execute to revoke.',
    );
  }
  const rows = named(manifest, await openManifest(manifest, options));
  if (!isExecution) {
    const config = await configOf(options);
    const summary = await surveyManifest(rows, ownerIn(config));
    describeResult(summary, config, options);
    refuseIfBad(summary, options);
    if (options.json === true)
      printJson({
        batch: null,
        accepted: summary.accepted,
        duplicates: summary.duplicates,
        rejected: summary.rejected,
      });
    else
      say(
        `Dry run: nothing was touched. To revoke ${summary.accepted === 1 ? 'it' : 'them'}: the same command with --execute.`,
      );
    return;
  }
  await withStore(options, (store) => execute(rows, options, store));
}

async function execute(
  rows: AsyncIterable<readonly ManifestRow[]>,
  options: SubmitOptions,
  store: Store,
): Promise<void> {
  const { priority, requestedBy, reason } = options;
  const details = {
    priority,
    ...(requestedBy !== undefined && { requestedBy }),
    ...(reason !== undefined && { reason }),
  };
  const plan = await planManifest(rows, ownerIn(store.config), store, details);
  const { summary } = plan;
  try {
    describeResult(summary, store.config, options);
    refuseIfBad(summary, options);
    await confirm(summary.accepted, options);
  } catch (error) {
    await plan.discard();
    throw error;
  }
  const result = await plan.activate();
  if (result.kind === 'gone') {
    throw new CommandEnd(
      EXIT.refused,
      'The stored plan is no longer there (it is kept for an hour): nothing runs. Submit the manifest again.',
    );
  }
  const { accepted, duplicates, rejected } = summary;
  if (result.kind === 'unknown') {
    const { batch, error } = result;
    if (options.json === true) printJson({ batch, accepted: null, duplicates: null, rejected, outcome: 'unknown' });
    throw new CommandEnd(EXIT.unknown, describeUnknown(batch, error));
  }
  const isNew = result.kind === 'running';
  if (options.json === true) {
    printJson({
      batch: result.batch,
      accepted: isNew ? accepted : 0,
      duplicates: isNew ? duplicates : duplicates + accepted,
      rejected,
    });
  }
  if (isNew)
    say(
      `Batch ${result.batch}: ${count(accepted, 'certificate')} accepted. certsweep status ${result.batch} shows how it goes.`,
    );
  else say(`This manifest is at work already, as batch ${result.batch}: nothing was added.`);
  if (options.wait === true) await waitForBatch(store, result.batch);
  // It runs, whether or not Redis tells who works on it.
  else for (const line of await unattendedOf(store, result.batch).catch(() => [])) say(line);
}

async function unattendedOf(store: Store, batch: string): Promise<string[]> {
  return unattended(store, ownersOf(store.config, await store.ledger.lanes(batch)));
}

async function openManifest(manifest: string, options: SubmitOptions): Promise<AsyncIterable<readonly ManifestRow[]>> {
  const { instance, ca, allowUnterminated = false } = options;
  const given = {
    ...(instance !== undefined && { instanceId: instance }),
    ...(ca !== undefined && { caSn: ca }),
    allowUnended: allowUnterminated,
  };
  if (manifest === '-') return readManifest(process.stdin, given);
  const format = formatOf(manifest);
  if (format === undefined) {
    throw new ManifestError(
      `${manifest} is neither .csv nor .ndjson: rename it, or pipe it in with "certsweep submit -".`,
    );
  }
  const found = await stat(manifest).catch((error: NodeJS.ErrnoException) => {
    throw new ManifestError(`${manifest} cannot be read (${error.code}): check the path.`);
  });
  if (!found.isFile()) throw new ManifestError(`${manifest} is not a file.`);
  return readManifest(createReadStream(manifest, { highWaterMark: 1 << 18 }), { ...given, format });
}

/** Its faults with the name of the manifest, which the reader does not know. */
async function* named(
  manifest: string,
  rows: AsyncIterable<readonly ManifestRow[]>,
): AsyncGenerator<readonly ManifestRow[]> {
  try {
    yield* rows;
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    throw new ManifestError(`${manifest === '-' ? 'standard input' : manifest}: ${error.message}`);
  }
}

function ownerIn(config: Config): (instanceId: string) => string | undefined {
  return (instanceId) => accountOf(config, instanceId)?.name;
}

function describeResult(summary: ManifestSummary, config: Config, options: SubmitOptions): void {
  if (options.json !== true || summary.rejected > 0) say(describeSummary(summary, config));
}

function refuseIfBad(summary: ManifestSummary, options: SubmitOptions): void {
  if (summary.rejected > 0 && options.skipInvalid !== true) {
    const them = summary.rejected === 1 ? 'it' : 'them';
    throw new CommandEnd(
      EXIT.usage,
      `The manifest is refused for ${count(summary.rejected, 'bad row')}: mend ${them}, or leave ${them} out with --skip-invalid. Nothing was touched.`,
    );
  }
  if (summary.accepted === 0)
    throw new CommandEnd(EXIT.usage, 'The manifest has no certificate to revoke. Nothing was touched.');
}

async function confirm(accepted: number, options: SubmitOptions): Promise<void> {
  if (options.yes === true) return;
  if (options.confirm !== undefined) {
    if (options.confirm === accepted) return;
    throw new CommandEnd(
      EXIT.refused,
      `--confirm ${options.confirm} is not the number of certificates, which is ${accepted}. Nothing was touched.`,
    );
  }
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new CommandEnd(
      EXIT.refused,
      `There is no terminal to ask on: add --confirm ${accepted} (or --yes). Nothing was touched.`,
    );
  }
  const answer = await text({
    message: `This deletes ${groupDigits(accepted)} device ${accepted === 1 ? 'certificate' : 'certificates'} for good. Type the number to go on:`,
    output: process.stderr,
  });
  if (isCancel(answer)) throw new CommandEnd(EXIT.interrupted, 'Interrupted. Nothing was touched.');
  if (answer?.replaceAll(',', '').trim() !== String(accepted)) {
    throw new CommandEnd(EXIT.refused, `That is not ${accepted}. Nothing was touched.`);
  }
}

function wholeNumber(value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw new CommandEnd(EXIT.usage, `--confirm ${value} is not a whole number.`);
  return Number(value);
}
