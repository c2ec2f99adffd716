import type { Answer } from '../core/answer.ts';
import type { Certificate } from '../core/certificate.ts';
import type { ListedPage, PageOf, ReadAnswer, RegisteredCa, RegisteredDevice } from '../core/registered.ts';
import type { AccessKey } from './access-key.ts';
import { Connections } from './connections.ts';
import type { CredentialSource } from './credentials.ts';
import { endpointOf } from './endpoint.ts';
import { Deadlines } from './deadlines.ts';
import { DeadlinePassed, OutgoingCall } from './outgoing-call.ts';
import {
  changeCa,
  changeDevice,
  getCa,
  getDevice,
  listCas,
  listDevices,
  readOneLine,
  type Call,
} from './operations.ts';
import { readFailure, readReply } from './read-answer.ts';
import { redactorFor, type Redact } from './redact.ts';
import { Sdk } from './sdk.ts';
import { RepeatedAnswers } from './repeated-answers.ts';
import { Semaphore } from './semaphore.ts';

export interface MqttClientOptions {
  /** `https://onsmqtt.<region>.aliyuncs.com`, or a stand-in's URL: scheme, host and port only. */
  readonly endpoint: string;
  readonly credentials: CredentialSource;
  /** From the call to the end of its answer, milliseconds, waiting for credentials and a connection included. */
  readonly callDeadlineMs: number;
  /** Calls beyond this wait in order of arrival, before they are signed and before their slot is checked. */
  readonly maxConnections: number;
  /** The address of this host to call from; without it the system chooses. */
  readonly localAddress?: string;
}

/**
 * The OpenAPI, one call in, one answer out. Nothing that the network, the API or the credentials do is thrown. `notAfterMs`
 * is on `performance.now()`'s scale: past it the slot is void and nothing is sent. It is judged when the connection
 * is up and the bytes are about to leave.
 */
export interface MqttClient {
  deleteDeviceCertificate(certificate: Certificate, notAfterMs?: number): Promise<Answer>;
  /** Keeps the record and keeps the device out; can be undone. */
  inactivateDeviceCertificate(certificate: Certificate, notAfterMs?: number): Promise<Answer>;
  activateDeviceCertificate(certificate: Certificate, notAfterMs?: number): Promise<Answer>;
  getDeviceCertificate(certificate: Certificate, notAfterMs?: number): Promise<ReadAnswer<RegisteredDevice>>;
  /** @param page - with `caSn`: of this CA only; the API calls another operation for that */
  listDeviceCertificates(
    page: PageOf & { readonly caSn?: string | undefined },
    notAfterMs?: number,
  ): Promise<ReadAnswer<ListedPage<RegisteredDevice>>>;
  listCaCertificates(page: PageOf, notAfterMs?: number): Promise<ReadAnswer<ListedPage<RegisteredCa>>>;
  getCaCertificate(instanceId: string, caSn: string, notAfterMs?: number): Promise<ReadAnswer<RegisteredCa>>;
  inactivateCaCertificate(instanceId: string, caSn: string, notAfterMs?: number): Promise<Answer>;
  activateCaCertificate(instanceId: string, caSn: string, notAfterMs?: number): Promise<Answer>;
  /** Deletes every device certificate of the CA, too. */
  deleteCaCertificate(instanceId: string, caSn: string, notAfterMs?: number): Promise<Answer>;
  /**
   * A harmless read (one line of the instance's list) that proves credentials and permission. Counts against the quotas. It changes nothing:
   * its network faults have effect `none`.
   */
  readInstance(instanceId: string, notAfterMs?: number): Promise<Answer>;
  /** Ends every connection: calls under way are cut off, later ones answered with network code `closed`. */
  close(): void;
}

/** @throws Error when the endpoint is no URL of a bare host */
export function createMqttClient(options: MqttClientOptions): MqttClient {
  const caller = new Caller(options);
  return {
    deleteDeviceCertificate: (certificate, notAfterMs) =>
      caller.call(changeDevice('DeleteDeviceCertificate', certificate), notAfterMs),
    inactivateDeviceCertificate: (certificate, notAfterMs) =>
      caller.call(changeDevice('InactivateDeviceCertificate', certificate), notAfterMs),
    activateDeviceCertificate: (certificate, notAfterMs) =>
      caller.call(changeDevice('ActiveDeviceCertificate', certificate), notAfterMs),
    getDeviceCertificate: (certificate, notAfterMs) => caller.call(getDevice(certificate), notAfterMs),
    listDeviceCertificates: ({ caSn, ...page }, notAfterMs) => caller.call(listDevices(page, caSn), notAfterMs),
    listCaCertificates: (page, notAfterMs) => caller.call(listCas(page), notAfterMs),
    getCaCertificate: (instanceId, caSn, notAfterMs) => caller.call(getCa(instanceId, caSn), notAfterMs),
    inactivateCaCertificate: (instanceId, caSn, notAfterMs) =>
      caller.call(changeCa('InactivateCaCertificate', instanceId, caSn), notAfterMs),
    activateCaCertificate: (instanceId, caSn, notAfterMs) =>
      caller.call(changeCa('ActiveCaCertificate', instanceId, caSn), notAfterMs),
    deleteCaCertificate: (instanceId, caSn, notAfterMs) =>
      caller.call(changeCa('DeleteCaCertificate', instanceId, caSn), notAfterMs),
    readInstance: (instanceId, notAfterMs) => caller.call(readOneLine(instanceId), notAfterMs),
    close: () => caller.close(),
  };
}

/** Calls between their signature and the wire: some two milliseconds of work. */
const AT_ONCE = 12;

class Caller {
  readonly #options: MqttClientOptions;
  readonly #connections: Connections;
  readonly #sdk: Sdk;
  readonly #signing = new Semaphore(AT_ONCE);
  readonly #deadlines: Deadlines;
  readonly #repeated = new RepeatedAnswers();
  #closed = false;
  #redactor: { readonly key: AccessKey; readonly redact: Redact } | undefined;

  constructor(options: MqttClientOptions) {
    const endpoint = endpointOf(options.endpoint);
    this.#options = options;
    this.#deadlines = new Deadlines(options.callDeadlineMs);
    this.#connections = new Connections(endpoint.protocol === 'https:', options);
    this.#sdk = new Sdk(endpoint.origin, this.#connections.agent);
  }

  async call<Data>(call: Call<Data>, notAfterMs?: number): Promise<ReadAnswer<Data>> {
    const outgoing = new OutgoingCall(this.#deadlines, notAfterMs);
    try {
      let key: AccessKey;
      try {
        key = await outgoing.within(this.#options.credentials.get());
      } catch (error) {
        return { kind: 'not-sent', reason: 'no-credentials', message: this.#whyNoKey(error) };
      }
      return this.#unlessForeign(await this.#send(call, key, outgoing), outgoing);
    } finally {
      outgoing.end();
    }
  }

  close(): void {
    this.#closed = true;
    this.#connections.close();
  }

  async #send<Data>(call: Call<Data>, key: AccessKey, outgoing: OutgoingCall): Promise<ReadAnswer<Data>> {
    const redact = this.#redactorFor(key);
    try {
      await this.#connections.enter(outgoing);
      try {
        outgoing.permit(await this.#signing.acquire());
        if (this.#closed) return { kind: 'network', code: 'closed', message: 'the client is closed', effect: 'none' };
        // Also here: signing costs more than everything else, and after a stall hundreds of calls may be late.
        const slotVoid = outgoing.slotVoid();
        if (slotVoid !== undefined) return { kind: 'not-sent', reason: 'slot-void', message: slotVoid };
        const reply = await outgoing.within(this.#sdk.request(call, key, outgoing));
        return readReply(reply, call.proof, redact);
      } finally {
        outgoing.release();
        this.#connections.leave();
      }
    } catch (error) {
      return readFailure(error, outgoing, call.method === 'POST', redact);
    }
  }

  /**
   * No answer names the whole certificate: a refusal nothing of it, a success its serial number, which another CA may have given too. One that was
   * heard before is that of an earlier call, and the outcome of this one is not known.
   */
  #unlessForeign<Data>(answer: ReadAnswer<Data>, outgoing: OutgoingCall): ReadAnswer<Data> {
    if (answer.kind === 'network' || answer.kind === 'not-sent') return answer;
    const { requestId } = answer;
    const isRepeated = requestId !== undefined && this.#repeated.hear(requestId);
    if (isRepeated || (answer.kind === 'garbled' && answer.isForeign === true)) this.#connections.distrust(outgoing);
    if (!isRepeated) return answer;
    return { kind: 'garbled', message: 'the answer cannot be trusted: it repeats that of an earlier call', requestId };
  }

  #whyNoKey(error: unknown): string {
    if (error instanceof DeadlinePassed)
      return `no credentials within ${this.#options.callDeadlineMs} ms: the source does not answer`;
    return redactorFor(this.#redactor?.key)(error instanceof Error ? error.message : 'the source failed');
  }

  /** One redactor for as long as one key is used: building it costs more than a call. */
  #redactorFor(key: AccessKey): Redact {
    if (this.#redactor?.key !== key) this.#redactor = { key, redact: redactorFor(key) };
    return this.#redactor.redact;
  }
}
