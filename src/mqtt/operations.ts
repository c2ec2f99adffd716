import type { Certificate } from '../core/certificate.ts';
import type { ListedPage, PageOf, RegisteredCa, RegisteredDevice } from '../core/registered.ts';
import { echoes, type Proof } from './read-answer.ts';
import { lists, listsCas, listsDevices, readsCa, readsDevice } from './read-data.ts';
import type { SdkCall } from './sdk.ts';

/** One call of the API, and what must be true of an answer that says it was done. */
export interface Call<Data> extends SdkCall {
  readonly proof: Proof<Data>;
}

export type DeviceChange = 'DeleteDeviceCertificate' | 'InactivateDeviceCertificate' | 'ActiveDeviceCertificate';
export type CaChange = 'InactivateCaCertificate' | 'ActiveCaCertificate' | 'DeleteCaCertificate';

export function changeDevice(action: DeviceChange, certificate: Certificate): Call<undefined> {
  const { deviceSn } = certificate;
  return { action, method: 'POST', parameters: parametersOf(certificate), proof: echoes('DeviceSn', deviceSn) };
}

/** Of a CA the serial number is `Sn`, not `CaSn`. */
export function changeCa(action: CaChange, instanceId: string, caSn: string): Call<undefined> {
  const parameters = { MqttInstanceId: instanceId, Sn: caSn };
  return { action, method: 'POST', parameters, proof: echoes('Sn', caSn) };
}

export function readOneLine(instanceId: string): Call<undefined> {
  const parameters = { MqttInstanceId: instanceId, PageNo: '1', PageSize: '1' };
  return { action: 'ListDeviceCertificate', method: 'GET', parameters, proof: lists };
}

export function getDevice(certificate: Certificate): Call<RegisteredDevice> {
  const proof = readsDevice(certificate.caSn, certificate.deviceSn);
  return { action: 'GetDeviceCertificate', method: 'GET', parameters: parametersOf(certificate), proof };
}

/** @param caSn - of one CA only */
export function listDevices(page: PageOf, caSn: string | undefined): Call<ListedPage<RegisteredDevice>> {
  const proof = listsDevices(page, caSn);
  const parameters = pageParameters(page);
  if (caSn === undefined) return { action: 'ListDeviceCertificate', method: 'GET', parameters, proof };
  return { action: 'ListDeviceCertificateByCaSn', method: 'GET', parameters: { ...parameters, CaSn: caSn }, proof };
}

export function listCas(page: PageOf): Call<ListedPage<RegisteredCa>> {
  return { action: 'ListCaCertificate', method: 'GET', parameters: pageParameters(page), proof: listsCas(page) };
}

export function getCa(instanceId: string, caSn: string): Call<RegisteredCa> {
  const parameters = { MqttInstanceId: instanceId, Sn: caSn };
  return { action: 'GetCaCertificate', method: 'GET', parameters, proof: readsCa(caSn) };
}

function parametersOf({ instanceId, caSn, deviceSn }: Certificate): Record<string, string> {
  return { MqttInstanceId: instanceId, CaSn: caSn, DeviceSn: deviceSn };
}

function pageParameters({ instanceId, pageNo, pageSize }: PageOf): Record<string, string> {
  return { MqttInstanceId: instanceId, PageNo: String(pageNo), PageSize: String(pageSize) };
}
