// BullMQ's own limiter, and a line of pino for each certificate, with what certsweep's `settled` lines say.
import { pino } from 'pino';
import { CAP, PEER_CA, PEER_INSTANCE } from './call.mjs';
import { work } from './bull.mjs';

const log = pino({ timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ fd: 2, sync: true }));
let n = 0;

work({
  limiter: { max: CAP, duration: 1_000 },
  pace: async (call, deviceSn) => {
    const { RequestId } = await call();
    const certificate = { instanceId: PEER_INSTANCE, caSn: PEER_CA, deviceSn };
    n += 1;
    log.info({
      event: 'settled',
      account: 'bench',
      n,
      ...certificate,
      outcome: 'revoked',
      code: '',
      requestId: RequestId,
      attempts: 1,
    });
  },
});
