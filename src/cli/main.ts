#!/usr/bin/env node
import { CommanderError } from 'commander';
import { AuditFileUnavailable } from '../app/acting.ts';
import { NewerLayout } from '../app/store.ts';
import { ManifestError } from '../manifest/fault.ts';
import { ScratchUnavailable } from '../manifest/scratch-file.ts';
import { ConfigError } from '../runtime/config/faults.ts';
import { describeRedisError, RedisUnavailable } from '../runtime/redis/describe-error.ts';
import { SecretUnreadable } from '../runtime/secret.ts';
import { CommandEnd, EXIT } from './exit.ts';
import { createProgram, loadCommands } from './program.ts';
import { say } from './text/terminal.ts';

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whatever reads our output may stop reading (`| head`): that is no error. Data that is lost is one.
  if (error.code === 'EPIPE') process.exit(EXIT.ok);
  say(`Standard output cannot be written (${error.code}): make room, or send it elsewhere.`);
  process.exit(EXIT.refused);
});
// What is only said may be lost.
process.stderr.on('error', () => undefined);

try {
  await createProgram(await loadCommands(process.argv[2])).parseAsync();
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
  if (error instanceof ConfigError || error instanceof ManifestError || error instanceof SecretUnreadable) {
    say(error.message);
    return EXIT.usage;
  }
  const isPlain = [RedisUnavailable, ScratchUnavailable, NewerLayout, AuditFileUnavailable];
  if (error instanceof Error && isPlain.some((kind) => error instanceof kind)) {
    say(error.message);
    return EXIT.refused;
  }
  say(describeRedisError(error));
  return EXIT.refused;
}
