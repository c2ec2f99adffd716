/** What other programs may rely on. */
export const EXIT = {
  ok: 0,
  /** Items are dead, or `audit --verify` found a fault. */
  someDead: 1,
  usage: 2,
  refused: 3,
  /** Redis did not answer: what was asked for may have been done. */
  unknown: 4,
  interrupted: 130,
} as const;

/** Ends the command with a message for a person on stderr and an exit code. */
export class CommandEnd extends Error {
  override readonly name = 'CommandEnd';
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** For a port that cannot be listened on; `option` is where it was given. */
export function cannotListen(option: string, port: number, error: unknown): CommandEnd {
  const why = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  return new CommandEnd(
    EXIT.refused,
    `Port ${port} (${option}) is not free (${why}): stop the program that uses it, or choose another port.`,
  );
}

/** A command was given the name of a batch that Redis does not have; another user or configuration may have another Redis. */
export function noBatch(batch: string, where: string): CommandEnd {
  const name = JSON.stringify(batch);
  return new CommandEnd(EXIT.usage, `There is no batch ${name} in ${where}: certsweep status lists all of them.`);
}
