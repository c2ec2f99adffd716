import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Option, type Command } from 'commander';
import { printableLines } from '../core/printable.ts';
import { OUTCOMES, type Outcome } from '../core/batch.ts';
import { parseVerification, reportOf, type ReportRequest } from '../app/report.ts';
import type { Store } from '../app/store.ts';
import { CommandEnd, EXIT, noBatch } from './exit.ts';
import { writeWhole } from './out-file.ts';
import { withStore, type CommonOptions } from './session.ts';
import { say } from './text/terminal.ts';

interface ReportOptions extends CommonOptions {
  readonly format: ReportRequest['format'];
  readonly outcome?: Outcome;
  readonly out?: string;
  readonly returned?: string;
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
    .option(
      '--returned <file>',
      'with a column remaining: the status of each certificate that certsweep verify --out found there',
    )
    .option('--out <file>', 'write to a file, which appears only when it is complete')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .addHelpText(
      'after',
      `
Example: what became of each certificate, and whether it is there all the same
  certsweep verify <batch> --out returned.json
  certsweep report <batch> --returned returned.json --out report.csv`,
    )
    .action((batch: string, options: ReportOptions) => withStore(options, (store) => report(store, batch, options)));
}

async function report(store: Store, batch: string, options: ReportOptions): Promise<void> {
  const { format, outcome, out, returned } = options;
  const found = await reportOf(store, {
    batch,
    format,
    ...(outcome !== undefined && { outcome }),
    ...(returned !== undefined && { returned: await readReturned(returned) }),
  });
  switch (found.kind) {
    case 'no-batch':
      throw noBatch(batch, store.where);
    case 'other-batch':
      throw new CommandEnd(
        EXIT.usage,
        `--returned ${returned} is of batch ${JSON.stringify(found.batch)}: write one with certsweep verify ${batch} --out <file>.`,
      );
    case 'report':
      break;
  }
  if (out === undefined) {
    // Data is handed on as it is, but a terminal would obey it.
    const text = process.stdout.isTTY ? eachPrintable(found.text) : found.text;
    await pipeline(Readable.from(text), process.stdout, { end: false });
    return;
  }
  await writeWhole(out, 'The report', found.text);
  say(`Wrote ${out}`);
}

async function* eachPrintable(texts: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const text of texts) yield printableLines(text);
}

async function readReturned(path: string): Promise<NonNullable<ReturnType<typeof parseVerification>>> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new CommandEnd(EXIT.usage, `--returned ${path} cannot be read (${error.code}): check the path.`);
  });
  const verification = parseVerification(text);
  if (verification === undefined)
    throw new CommandEnd(EXIT.usage, `--returned ${path} is no result of certsweep verify: write one with its --out.`);
  return verification;
}
