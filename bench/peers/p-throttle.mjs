// p-throttle in each process, without any queue: every process takes its share of the list and of the cap.
// Evenly spaced (limit 1), since `strict` rounds its spacing up to whole milliseconds and so uses two thirds of 490 a second.
import pThrottle from 'p-throttle';
import { CAP, INDEX, PROCESSES, linesOf, revokeAndNote } from './call.mjs';

/** Calls handed to the throttle and not ended: more would only fill the memory. */
const AHEAD = 100;

const doneFile = `${process.env.PEER_FOLDER}/done-${INDEX}.txt`;
const done = new Set(linesOf(doneFile));
const share = linesOf(process.env.PEER_LIST).filter(
  (deviceSn, position) => position % PROCESSES === INDEX && !done.has(deviceSn),
);
const throttled = pThrottle({ limit: 1, interval: (1_000 * PROCESSES) / CAP })((deviceSn) =>
  revokeAndNote(deviceSn, doneFile),
);

const underWay = new Set();
for (const deviceSn of share) {
  const call = throttled(deviceSn).finally(() => underWay.delete(call));
  underWay.add(call);
  if (underWay.size >= AHEAD) await Promise.race(underWay);
}
await Promise.all(underWay);
