import type { Command } from 'commander';
import type { OpenStore } from '../app/store.ts';
import { outOfReach, stopped, untilLeave } from './cloud.ts';
import { EXIT, noBatch } from './exit.ts';
import { writeWhole } from './out-file.ts';
import { withStore, type CommonOptions } from './session.ts';
import { describeRemaining, describeVerification } from './text/verify.ts';
import { print, printJson, say } from './text/terminal.ts';

interface VerifyOptions extends CommonOptions {
  readonly json?: boolean;
  readonly out?: string;
}

export function addVerify(program: Command): void {
  program
    .command('verify')
    .summary('which certificates of a batch are still registered')
    .description(
      'Reads the listings of the CAs of a batch. It names every certificate that should be gone but is registered, or that has another status than the batch gives: it came back, or could not be changed. It changes nothing; the result is kept with the batch and on record. Its calls keep the pace.',
    )
    .argument('<batch>')
    .option('--out <file>', 'write what --json prints to a file, for certsweep report --returned')
    .option('--json', 'print one object: batch, checked, remaining')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .addHelpText(
      'after',
      `
Example: a report that shows which certificates came back
  certsweep verify <batch> --out returned.json
  certsweep report <batch> --returned returned.json --out report.csv

Exit code: 1 when a certificate is still there, 3 when the cloud refused, or when\nnone was found but the order of the listing changed.`,
    )
    .action((batch: string, options: VerifyOptions) => withStore(options, (store) => verify(store, batch, options)));
}

async function verify(store: OpenStore, batch: string, { json = false, out }: VerifyOptions): Promise<void> {
  // Loaded here: BullMQ and the SDK take half a second, which no other command should pay.
  const { verifyBatch } = await import('../app/verify.ts');
  const end = await untilLeave((signal) => verifyBatch(store, batch, signal));
  switch (end.kind) {
    case 'verified': {
      const { action, verification, found, pending } = end;
      if (out !== undefined) await writeWhole(out, 'The result', [`${JSON.stringify(verification)}\n`]);
      if (json) printJson(verification);
      else if (out === undefined) for (const one of verification.remaining) print(describeRemaining(one));
      say(describeVerification(action, verification, found, pending, out));
      if (verification.remaining.length > 0) process.exitCode = EXIT.someDead;
      else if (found.isMoved) process.exitCode = EXIT.refused;
      return;
    }
    case 'no-batch':
      throw noBatch(batch, store.where);
    case 'no-account':
    case 'no-key':
      throw outOfReach(end);
    case 'refused':
    case 'halted':
    case 'closed':
      throw stopped(end, end.account, {
        what: 'listing',
        grant: 'mq:ListDeviceCertificateByCaSn',
        next: 'run this again',
      });
  }
}
