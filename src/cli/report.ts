import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Option, type Command } from 'commander';
import { printableJson, printableLines } from '../core/printable.ts';
import { OUTCOMES, type Outcome } from '../core/batch.ts';
import { parseVerification, reportOf, type ReportRequest } from '../app/report.ts';
import type { Store } from '../app/store.ts';
import { summaryOf } from '../app/summary.ts';
import { CommandEnd, EXIT, noBatch } from './exit.ts';
import { writeWhole } from './out-file.ts';
import { withStore, type CommonOptions } from './session.ts';
import { summaryPage } from './text/summary.ts';
import { say } from './text/terminal.ts';

const ROW_FORMATS = ['csv', 'ndjson'] as const satisfies readonly ReportRequest['format'][];
const SUMMARY_FORMATS = ['md', 'json'] as const;
type Format = (typeof ROW_FORMATS)[number] | (typeof SUMMARY_FORMATS)[number];

interface ReportOptions extends CommonOptions {
  readonly format?: Format;
  readonly summary?: boolean;
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
    .addOption(
      new Option('--format <f>', 'csv (the default) or ndjson; with --summary md (the default) or json').choices([
        ...ROW_FORMATS,
        ...SUMMARY_FORMATS,
      ]),
    )
    .option(
      '--summary',
      'one page in place of the rows: who, why, when, manifest, plan, counts, codes, duration, pace, verification',
    )
    .addOption(new Option('--outcome <o>', 'only these').choices(OUTCOMES))
    .option('--returned <file>', 'add a column remaining from this file, which certsweep verify --out wrote')
    .option('--out <file>', 'write to a file, which appears only when it is complete')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .addHelpText(
      'after',
      `
Example: what happened to each certificate, and is it still registered?
  certsweep verify <batch> --out returned.json
  certsweep report <batch> --returned returned.json --out report.csv

Example: a page for the auditor
  certsweep report <batch> --summary --out batch.md`,
    )
    .action((batch: string, options: ReportOptions) => {
      const work = options.summary === true ? summarize : report;
      return withStore(options, (store) => work(store, batch, options));
    });
}

async function report(store: Store, batch: string, options: ReportOptions): Promise<void> {
  const { format = 'csv', outcome, out, returned } = options;
  if (format === 'md' || format === 'json') {
    throw new CommandEnd(EXIT.usage, `--format ${format} is for --summary: rows come as ${ROW_FORMATS.join(' or ')}.`);
  }
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
  await deliver(found.text, 'The report', out);
}

async function summarize(store: Store, batch: string, options: ReportOptions): Promise<void> {
  const { format = 'md', outcome, out, returned } = options;
  if (format === 'csv' || format === 'ndjson') {
    throw new CommandEnd(EXIT.usage, `--format ${format} is for rows: a summary is ${SUMMARY_FORMATS.join(' or ')}.`);
  }
  if (outcome !== undefined || returned !== undefined) {
    throw new CommandEnd(EXIT.usage, '--summary covers the whole batch: leave out --outcome and --returned.');
  }
  const summary = await summaryOf(store, batch);
  if (summary === undefined) throw noBatch(batch, store.where);
  const text = format === 'md' ? summaryPage(summary) : `${printableJson(JSON.stringify(summary))}\n`;
  await deliver([text], 'The summary', out);
}

/** @param what - begins the sentence that says why it cannot be written */
async function deliver(
  pieces: AsyncIterable<string> | Iterable<string>,
  what: string,
  out: string | undefined,
): Promise<void> {
  if (out === undefined) {
    // Data is handed on as it is, but a terminal would obey it.
    const text = process.stdout.isTTY ? eachPrintable(pieces) : pieces;
    await pipeline(Readable.from(text), process.stdout, { end: false });
    return;
  }
  await writeWhole(out, what, pieces);
  say(`Wrote ${out}`);
}

async function* eachPrintable(texts: AsyncIterable<string> | Iterable<string>): AsyncGenerator<string> {
  for await (const text of texts) yield printableLines(text);
}

async function readReturned(path: string): Promise<NonNullable<ReturnType<typeof parseVerification>>> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new CommandEnd(EXIT.usage, `--returned ${path} cannot be read (${error.code}): check the path.`);
  });
  const verification = parseVerification(text);
  if (verification === undefined)
    throw new CommandEnd(
      EXIT.usage,
      `--returned ${path} is not a result of certsweep verify: write one with its --out.`,
    );
  return verification;
}
