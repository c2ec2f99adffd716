#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { NewerLayout } from '../app/store.ts';
import { ManifestError } from '../manifest/fault.ts';
import { ScratchUnavailable } from '../manifest/scratch-file.ts';
import { ConfigError } from '../runtime/config/faults.ts';
import { describeRedisError, RedisUnavailable } from '../runtime/redis/describe-error.ts';
import { VERSION } from '../runtime/version.ts';
import { addBatchCommands } from './batch.ts';
import { addDead } from './dead.ts';
import { addDemo } from './demo/demo.ts';
import { addDoctor } from './doctor.ts';
import { CommandEnd, EXIT } from './exit.ts';
import { addReport } from './report.ts';
import { addSandbox } from './sandbox.ts';
import { addStatus } from './status.ts';
import { addSubmit } from './submit.ts';
import { say } from './text/terminal.ts';
import { addWorker } from './worker.ts';

const program = new Command('certsweep')
  .description('Revokes device certificates of ApsaraMQ for MQTT in bulk, never over a quota.')
  .version(VERSION, '-V, --version', 'print the version')
  .helpOption('-h, --help', 'print this help')
  .helpCommand(false)
  .showHelpAfterError('(certsweep --help shows what there is)')
  .exitOverride();

for (const add of [
  addSubmit,
  addWorker,
  addStatus,
  addReport,
  addDead,
  addBatchCommands,
  addDoctor,
  addSandbox,
  addDemo,
]) {
  add(program);
}
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whatever reads our output may stop reading (`| head`): that is no error. Data that is lost is one.
  if (error.code === 'EPIPE') process.exit(EXIT.ok);
  say(`Standard output cannot be written (${error.code}): make room, or send it elsewhere.`);
  process.exit(EXIT.refused);
});
// What is only said may be lost.
process.stderr.on('error', () => undefined);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) {
    // Commander has printed it; help and version are no errors.
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
  if (error instanceof CommandEnd) {
    if (error.message !== '') say(error.message);
    return error.code;
  }
  if (error instanceof ConfigError || error instanceof ManifestError) {
    say(error.message);
    return EXIT.usage;
  }
  if (error instanceof RedisUnavailable || error instanceof ScratchUnavailable || error instanceof NewerLayout) {
    say(error.message);
    return EXIT.refused;
  }
  say(describeRedisError(error));
  return EXIT.refused;
}
