// Bottleneck, clustered over Redis, inside BullMQ workers: a reservoir of the cap, filled again each second.
import Bottleneck from 'bottleneck';
import { Redis } from 'ioredis';
import { CAP } from './call.mjs';
import { connection, work } from './bull.mjs';

const limiter = new Bottleneck({
  id: 'onsmqtt',
  datastore: 'ioredis',
  Redis,
  clientOptions: connection,
  reservoir: CAP,
  reservoirRefreshAmount: CAP,
  reservoirRefreshInterval: 1_000,
  // With the 5 s that are usual in a cluster, a drained reservoir stays empty for so long.
  heartbeatInterval: 250,
});
limiter.on('error', (error) => console.error(error.message));
await limiter.ready();
work({ pace: (call) => limiter.schedule(call), close: () => limiter.disconnect() });
