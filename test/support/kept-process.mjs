// A process that runs the built command once for each message, and keeps what it has loaded: a start of Node and of the bundle is most of what a
// short command costs. Each run is all of `main.js`, from its arguments to its exit code, and ends where a process of its own would: when nothing
// that it began keeps Node's loop alive.
import { pathToFileURL } from 'node:url';

let runs = 0;
/** Behind the last output of the run under way. */
let mark;
let hasSettled = false;

process.on('message', (run) => {
  runs += 1;
  ({ mark } = run);
  hasSettled = false;
  for (const name of Object.keys(process.env)) if (!(name in run.env)) delete process.env[name];
  Object.assign(process.env, run.env);
  process.argv.splice(1, Infinity, run.command, ...run.args);
  process.exitCode = undefined;
  process.channel.unref();
  // What it does not catch ends this process, as it would its own.
  void import(`${pathToFileURL(run.command).href}?run=${runs}`).then(() => (hasSettled = true));
});

process.on('beforeExit', () => {
  if (mark === undefined) return;
  // 13 is what Node says of a program that still awaits something.
  const code = hasSettled ? (process.exitCode ?? 0) : 13;
  for (const stream of [process.stdout, process.stderr]) {
    stream.removeAllListeners('error');
    stream.write(mark);
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(signal);
  mark = undefined;
  process.channel.ref();
  process.send({ code });
});

process.on('disconnect', () => process.exit());
