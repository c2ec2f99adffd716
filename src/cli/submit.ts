import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import { unattendedOf } from '../app/accounts.ts';
import type { Store } from '../app/store.ts';
import {
  checkManifest,
  submitManifest,
  type ManifestSummary,
  type Priority,
  type SubmitOutcome,
} from '../app/submit.ts';
import { formatOf, readManifest } from '../manifest/read-manifest.ts';
import { ManifestError } from '../manifest/fault.ts';
import type { ManifestRow } from '../manifest/row.ts';
import type { Config } from '../runtime/config/config.ts';
import { CommandEnd, EXIT } from './exit.ts';
import {
  addMotive,
  confirmedNumber,
  motiveOf,
  reasonAsker,
  reasonRequired,
  unconfirmed,
  type MotiveOptions,
} from './motive.ts';
import { describeSummary, describeUnknown } from './text/plan.ts';
import { describeUnattended } from './text/status.ts';
import { configOf, withStore, type CommonOptions } from './session.ts';
import { count, printJson, say } from './text/terminal.ts';
import { waitForBatch } from './wait.ts';
import { wholeNumber } from './whole-number.ts';

interface SubmitOptions extends CommonOptions, MotiveOptions {
  readonly execute?: boolean;
  readonly yes?: boolean;
  readonly confirm?: number;
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
    .summary('check a manifest, and with --execute revoke what it lists')
    .description(
      'Reads a manifest of certificates (columns or keys instanceId, caSn, deviceSn) and prints the plan. It is a dry run that touches nothing, unless --execute is given.',
    )
    .argument('<manifest>', 'a .csv or .ndjson file, or - for standard input')
    .option('--execute', 'store the batch and have the workers revoke it')
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
  const hash = createHash('sha256');
  const rows = named(manifest, await openManifest(manifest, options, hash));
  if (isExecution) await withStore(options, (store) => execute({ rows, hash }, options, store));
  else await rehearse(rows, options);
}

async function rehearse(rows: AsyncIterable<readonly ManifestRow[]>, options: SubmitOptions): Promise<void> {
  const config = await configOf(options);
  const { kind, summary } = await checkManifest(config, rows, options.skipInvalid === true);
  sayPlan(summary, config, options);
  if (kind !== 'acceptable') throw refusal({ kind, summary }, options);
  const { accepted, duplicates, rejected } = summary;
  if (options.json === true) printJson({ batch: null, accepted, duplicates, rejected });
  else
    say(`Dry run: nothing was touched. To revoke ${accepted === 1 ? 'it' : 'them'}: the same command with --execute.`);
}

async function execute(
  { rows, hash }: { readonly rows: AsyncIterable<readonly ManifestRow[]>; readonly hash: Hash },
  options: SubmitOptions,
  store: Store,
): Promise<void> {
  const { priority, skipInvalid = false } = options;
  const result = await submitManifest(store, rows, {
    priority,
    skipInvalid,
    ...motiveOf(options),
    ...reasonAsker(options),
    manifestSha256: () => hash.digest('hex'),
    confirm(summary) {
      sayPlan(summary, store.config, options);
      const { accepted } = summary;
      return confirmedNumber(accepted, `This deletes ${count(accepted, 'device certificate')} for good.`, options);
    },
  });
  switch (result.kind) {
    case 'running':
    case 'at-work':
      await sayTaken(result, options, store);
      return;
    case 'bad-rows':
    case 'empty':
      sayPlan(result.summary, store.config, options);
      throw refusal(result, options);
    case 'unconfirmed':
      throw refusal(result, options);
    case 'reason-required':
      throw reasonRequired();
    case 'gone':
      throw new CommandEnd(
        EXIT.refused,
        'The stored plan is no longer there (it is kept for an hour): nothing runs. Submit the manifest again.',
      );
    case 'unknown': {
      const { batch, rejected, error } = result;
      if (options.json === true) printJson({ batch, accepted: null, duplicates: null, rejected, outcome: 'unknown' });
      throw new CommandEnd(EXIT.unknown, describeUnknown(batch, error));
    }
  }
}

async function sayTaken(
  { kind, submitted }: Extract<SubmitOutcome, { readonly kind: 'running' | 'at-work' }>,
  options: SubmitOptions,
  store: Store,
): Promise<void> {
  const { batch, accepted, duplicates, rejected } = submitted;
  if (options.json === true) printJson({ batch, accepted, duplicates, rejected });
  if (kind === 'running')
    say(`Batch ${batch}: ${count(accepted, 'certificate')} accepted. certsweep status ${batch} shows how it goes.`);
  else say(`This manifest is at work already, as batch ${batch}: nothing was added.`);
  if (options.wait === true) await waitForBatch(store, batch);
  // It runs, whether or not Redis tells who works on it.
  else for (const account of await unattendedOf(store, batch).catch(() => [])) say(describeUnattended(account));
}

async function openManifest(
  manifest: string,
  options: SubmitOptions,
  hash: Hash,
): Promise<AsyncIterable<readonly ManifestRow[]>> {
  const { instance, ca, allowUnterminated = false } = options;
  const given = {
    ...(instance !== undefined && { instanceId: instance }),
    ...(ca !== undefined && { caSn: ca }),
    allowUnended: allowUnterminated,
  };
  if (manifest === '-') return readManifest(hashed(process.stdin, hash), given);
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
  const source = createReadStream(manifest, { highWaterMark: 1 << 18 });
  return readManifest(hashed(source, hash), { ...given, format });
}

/** What sha256sum prints of the manifest, once it is read to its end. */
async function* hashed(source: AsyncIterable<Buffer>, hash: Hash): AsyncGenerator<Buffer> {
  for await (const bytes of source) {
    hash.update(bytes);
    yield bytes;
  }
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

function sayPlan(summary: ManifestSummary, config: Config, options: SubmitOptions): void {
  if (options.json !== true || summary.rejected > 0) say(describeSummary(summary, config));
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
      return new CommandEnd(EXIT.usage, 'The manifest has no certificate to revoke. Nothing was touched.');
    case 'unconfirmed':
      return unconfirmed(accepted, 'certificates', options);
  }
}
