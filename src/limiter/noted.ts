/** Nobody waits longer for Redis to note a halt, a lift or a throttling answer; it is noted late, or on the next such answer. */
const NOTE_TIMEOUT_MS = 2_000;

/**
 * Waits for what Redis is asked to note, and not for long.
 * @param onFailure - told of its error, or its silence
 * @returns undefined where there is no result, or none yet
 */
export async function noted<Result>(
  work: Promise<Result>,
  onFailure: (reason: unknown) => void,
): Promise<Result | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${NOTE_TIMEOUT_MS} ms`)), NOTE_TIMEOUT_MS);
  });
  try {
    return await Promise.race([work, timeout]);
  } catch (error) {
    onFailure(error);
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
