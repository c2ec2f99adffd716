/** Answers remembered, at least: those of eight seconds at the highest pace that the cloud allows. */
const REMEMBERED = 4_096;

/** As the API makes them. Another text in their place may be that of a gateway, the same for every call. */
export const REQUEST_ID = /^[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}$/i;

/**
 * The request ids of the last answers. Each call has one of its own, so an answer with one that was heard before is that of an earlier call, which a
 * gateway has sent twice.
 */
export class RepeatedAnswers {
  /** Two sets, of which the older is dropped when the younger is full: taking one id at a time out of one set, the oldest is looked for among holes. */
  #ids = new Set<string>();
  #olderIds = new Set<string>();

  /** @returns whether it was heard before */
  hear(requestId: string): boolean {
    if (!REQUEST_ID.test(requestId)) return false;
    if (this.#ids.has(requestId) || this.#olderIds.has(requestId)) return true;
    if (this.#ids.size === REMEMBERED) {
      this.#olderIds = this.#ids;
      this.#ids = new Set();
    }
    // A copy: the SDK's parser cuts texts out of the body, so each would keep its whole body in memory.
    this.#ids.add(Buffer.from(requestId).toString());
    return false;
  }
}
