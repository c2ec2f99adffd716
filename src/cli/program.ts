import { Command } from 'commander';
import { printableLines } from '../core/printable.ts';
import { VERSION } from '../runtime/version.ts';
import { addApprove } from './approve.ts';
import { addAudit } from './audit.ts';
import { addBatchCommands, addPriority } from './batch.ts';
import { addCa } from './ca.ts';
import { addDead } from './dead.ts';
import { addDemo } from './demo/demo.ts';
import { addDoctor } from './doctor.ts';
import { addFind } from './find.ts';
import { addInventory } from './inventory.ts';
import { addPace } from './pace.ts';
import { addPlan } from './plan.ts';
import { addReport } from './report.ts';
import { addSandbox } from './sandbox.ts';
import { addSchedule } from './schedule.ts';
import { addServe } from './serve.ts';
import { addStatus } from './status.ts';
import { addStop } from './stop.ts';
import { addSubmit } from './submit.ts';
import { addToken } from './token.ts';
import { addUndo } from './undo.ts';
import { addVerify } from './verify.ts';
import { addWorker } from './worker.ts';

/** The command line with all its commands, not yet parsed. The check of the documents parses their examples with it. */
export function createProgram(): Command {
  const program = new Command('certsweep')
    .description('Revokes device certificates of ApsaraMQ for MQTT in bulk, never over a quota.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .showHelpAfterError('(certsweep --help shows what there is)')
    .configureOutput({
      writeOut: (text) => void process.stdout.write(printableLines(text)),
      writeErr: (text) => void process.stderr.write(printableLines(text)),
    })
    .exitOverride();
  for (const add of [
    addSubmit,
    addWorker,
    addServe,
    addToken,
    addStatus,
    addReport,
    addFind,
    addDead,
    addInventory,
    addPlan,
    addCa,
    addVerify,
    addSchedule,
    addBatchCommands,
    addUndo,
    addPace,
    addPriority,
    addStop,
    addApprove,
    addAudit,
    addDoctor,
    addSandbox,
    addDemo,
  ]) {
    add(program);
  }
  return program;
}
