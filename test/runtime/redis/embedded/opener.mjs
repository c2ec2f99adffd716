import { openRedis } from '../../../../dist/runtime/redis/open-redis.js';

/*
 * A process of its own for the tests: opens the data directory in its first argument, says what happened as one line of JSON each, and closes
 * when its standard input ends.
 */
const [, , dataDir = ''] = process.argv;
const open = await openRedis({ dataDir }, (event) => process.stdout.write(`${JSON.stringify(event)}\n`));
process.stdout.write(`${JSON.stringify({ kind: 'open' })}\n`);
process.stdin.resume();
process.stdin.once('end', () => {
  void open.close();
});
