import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { realpath, rename, rm, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Option, type Command } from 'commander';
import { printableLines } from '../core/printable.ts';
import { OUTCOMES, type Outcome } from '../core/batch.ts';
import { reportOf, type ReportRequest } from '../app/report.ts';
import type { Store } from '../app/store.ts';
import { CommandEnd, EXIT, noBatch } from './exit.ts';
import { withStore, type CommonOptions } from './session.ts';
import { say } from './text/terminal.ts';

interface ReportOptions extends CommonOptions {
  readonly format: ReportRequest['format'];
  readonly outcome?: Outcome;
  readonly out?: string;
}

export function addReport(program: Command): void {
  program
    .command('report')
    .summary('the outcome of every settled item of a batch')
    .description(
      'Streams one row for each settled item, in the order in which they were settled, to standard output or a file.',
    )
    .argument('<batch>')
    .addOption(new Option('--format <f>').choices(['csv', 'ndjson']).default('csv'))
    .addOption(new Option('--outcome <o>', 'only these').choices(OUTCOMES))
    .option('--out <file>', 'write to a file, which appears only when it is complete')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .action((batch: string, options: ReportOptions) => withStore(options, (store) => report(store, batch, options)));
}

async function report(store: Store, batch: string, { format, outcome, out }: ReportOptions): Promise<void> {
  const found = await reportOf(store, { batch, format, ...(outcome !== undefined && { outcome }) });
  if (found.kind === 'no-batch') throw noBatch(batch, store.where);
  if (out === undefined) {
    // Data is handed on as it is, but a terminal would obey it.
    const text = process.stdout.isTTY ? eachPrintable(found.text) : found.text;
    await pipeline(Readable.from(text), process.stdout, { end: false });
    return;
  }
  await writeReport(out, found.text);
  say(`Wrote ${out}`);
}

async function* eachPrintable(texts: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const text of texts) yield printableLines(text);
}

/**
 * Writes beside the file and renames at the end, so that a half report never looks like a whole one. A pipe or a device is written to as it is:
 * a file must not take its place.
 */
export async function writeReport(path: string, text: AsyncIterable<string>): Promise<void> {
  const target = await realpath(path).catch(() => path);
  const part = `${target}.${randomBytes(4).toString('hex')}.part`;
  try {
    const found = await stat(target).catch(() => undefined);
    if (found !== undefined && !found.isFile()) {
      await pipeline(Readable.from(text), createWriteStream(target));
      return;
    }
    await pipeline(Readable.from(text), createWriteStream(part, { flags: 'wx' }));
    await rename(part, target);
  } catch (error) {
    await rm(part, { force: true });
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandEnd(
      EXIT.refused,
      `The report could not be written to ${path} (${why}): choose another place with --out.`,
    );
  }
}
