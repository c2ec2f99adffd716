/** Answers remembered: those of eight seconds at the highest pace that the cloud allows. */
const REMEMBERED = 4_096;

/** As the API makes them. Another text in their place may be that of a gateway, the same for every call. */
export const REQUEST_ID = /^[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}$/i;

/**
 * The request ids of the last answers. Each call has one of its own, so an answer with one that was heard before is that of an earlier call, which a
 * gateway has sent twice.
 */
export class RepeatedAnswers {
  readonly #ids = new Set<string>();

  /** @returns whether it was heard before */
  hear(requestId: string): boolean {
    if (!REQUEST_ID.test(requestId)) return false;
    if (this.#ids.has(requestId)) return true;
    // A copy: the SDK's parser cuts texts out of the body, so each would keep its whole body in memory.
    this.#ids.add(Buffer.from(requestId).toString());
    if (this.#ids.size > REMEMBERED) {
      const [oldest = ''] = this.#ids;
      this.#ids.delete(oldest);
    }
    return false;
  }
}
