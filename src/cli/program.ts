import { Command } from 'commander';
import { printableLines } from '../core/printable.ts';
import { VERSION } from '../runtime/version.ts';
/** Adds a command, or several, to the program. */
type Add = (program: Command) => void;

/** In the order of the help: the commands of each file, and how it is loaded. */
const FILES: readonly (readonly [commands: readonly string[], load: () => Promise<Add>])[] = [
  [['submit'], async () => (await import('./submit.ts')).addSubmit],
  [['worker'], async () => (await import('./worker.ts')).addWorker],
  [['serve'], async () => (await import('./serve.ts')).addServe],
  [['token'], async () => (await import('./token.ts')).addToken],
  [['status'], async () => (await import('./status.ts')).addStatus],
  [['report'], async () => (await import('./report.ts')).addReport],
  [['find'], async () => (await import('./find.ts')).addFind],
  [['dead'], async () => (await import('./dead.ts')).addDead],
  [['inventory'], async () => (await import('./inventory.ts')).addInventory],
  [['plan'], async () => (await import('./plan.ts')).addPlan],
  [['ca'], async () => (await import('./ca.ts')).addCa],
  [['verify'], async () => (await import('./verify.ts')).addVerify],
  [['schedule'], async () => (await import('./schedule.ts')).addSchedule],
  [['pause', 'resume', 'cancel', 'forget'], async () => (await import('./batch.ts')).addBatchCommands],
  [['undo'], async () => (await import('./undo.ts')).addUndo],
  [['pace'], async () => (await import('./pace.ts')).addPace],
  [['priority'], async () => (await import('./batch.ts')).addPriority],
  [['stop', 'start'], async () => (await import('./stop.ts')).addStop],
  [['approve'], async () => (await import('./approve.ts')).addApprove],
  [['audit'], async () => (await import('./audit.ts')).addAudit],
  [['doctor'], async () => (await import('./doctor.ts')).addDoctor],
  [['sandbox'], async () => (await import('./sandbox.ts')).addSandbox],
  [['demo'], async () => (await import('./demo/demo.ts')).addDemo],
];

/**
 * Loads commands: a start costs what it loads.
 * @param word - the first on the command line: where it names a command, only the file of that command is loaded, else all
 */
export async function loadCommands(word?: string): Promise<Add[]> {
  const asked = FILES.filter(([commands]) => word !== undefined && commands.includes(word));
  return Promise.all((asked.length > 0 ? asked : FILES).map(([, load]) => load()));
}

/** The command line with these commands, not yet parsed. The check of the documents parses their examples with it. */
export function createProgram(commands: readonly Add[]): Command {
  const program = new Command('certsweep')
    .description('Revokes device certificates of ApsaraMQ for MQTT in bulk, never over a quota.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .showHelpAfterError('(certsweep --help lists the commands)')
    .configureOutput({
      writeOut: (text) => void process.stdout.write(printableLines(text)),
      writeErr: (text) => void process.stderr.write(printableLines(text)),
    })
    .exitOverride();
  for (const add of commands) add(program);
  return program;
}
