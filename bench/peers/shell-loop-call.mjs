// What the shell loop calls: revokes the serial numbers it is given, evenly, at this command's share of the cap.
import { setTimeout as sleep } from 'node:timers/promises';
import { CAP, PROCESSES, revokeAndNote } from './call.mjs';

const spacingMs = (1_000 * PROCESSES) / CAP;
const doneFile = `${process.env.PEER_FOLDER}/done.txt`;
const calls = [];
let dueMs = performance.now();
for (const deviceSn of process.argv.slice(2)) {
  const call = revokeAndNote(deviceSn, doneFile);
  // xargs ends its loop at 255; any other failure only fails this chunk.
  call.catch((error) => process.exit(/^(Forbidden|InvalidAccessKeyId)/.test(error.code) ? 255 : 1));
  calls.push(call);
  // A stall is not caught up.
  dueMs = Math.max(dueMs + spacingMs, performance.now());
  await sleep(dueMs - performance.now());
}
await Promise.all(calls);
