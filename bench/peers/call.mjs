// One call with the official SDK, as every program here makes it: POST, and a certificate that is gone already counts as done.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import RpcClient from '@alicloud/pop-core';

/** What the comparison tells each program. */
export const { PEER_ENDPOINT, PEER_KEY_ID, PEER_KEY_SECRET, PEER_INSTANCE, PEER_CA } = process.env;
export const CAP = Number(process.env.PEER_CAP ?? 490);
export const PROCESSES = Number(process.env.PEER_PROCESSES ?? 1);
export const INDEX = Number(process.env.PEER_INDEX ?? 0);

const client = new RpcClient({
  endpoint: PEER_ENDPOINT,
  apiVersion: '2020-04-20',
  accessKeyId: PEER_KEY_ID,
  accessKeySecret: PEER_KEY_SECRET,
});

/**
 * @returns the answer, also that of absence
 * @throws what the SDK throws, for anything but success and absence
 */
export async function revoke(deviceSn) {
  const parameters = { MqttInstanceId: PEER_INSTANCE, CaSn: PEER_CA, DeviceSn: deviceSn };
  try {
    return await client.request('DeleteDeviceCertificate', parameters, { method: 'POST' });
  } catch (error) {
    if (error.code !== 'FindDeviceBySnError') throw error;
    return error.data;
  }
}

/** No answer of the API, or one that asks to come again. */
export function isTransient(error) {
  return (
    error.data === undefined || /Throttling|ServiceUnavailable|InternalError|SystemOverFlow|Nonce/.test(error.code)
  );
}

/** For programs without a queue: tries again in place, and writes down what is done, so that a restart goes on there. */
export async function revokeAndNote(deviceSn, doneFile) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await revoke(deviceSn);
      appendFileSync(doneFile, `${deviceSn}\n`);
      return;
    } catch (error) {
      if (!isTransient(error) || attempt === 10) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100 * 2 ** Math.min(attempt, 6)));
    }
  }
}

/** The lines of a file; none where there is no file yet. */
export function linesOf(path) {
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : [];
}
