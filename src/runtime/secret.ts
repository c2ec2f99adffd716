import { readFileSync } from 'node:fs';

type Variables = Readonly<Record<string, string | undefined>>;

/** A variable of this name says which file holds the secret: what is in a file is not in `docker inspect`, nor in what a child inherits. */
export function fileVariableOf(name: string): string {
  return `${name}_FILE`;
}

/** A secret is given, but cannot be had. The message names variable and file, and repeats nothing of what is in them. */
export class SecretUnreadable extends Error {
  override readonly name = 'SecretUnreadable';
}

/**
 * A secret from the variable of this name, or from the file that `<name>_FILE` names, without the line end behind it. Read at each call, so that a
 * file that was renewed counts.
 * @returns undefined where neither is set
 * @throws SecretUnreadable
 */
export function readSecret(environment: Variables, name: string): string | undefined {
  const fileVariable = fileVariableOf(name);
  const file = environment[fileVariable] ?? '';
  const value = environment[name];
  if (file === '') return value;
  if (value !== undefined && value !== '')
    throw new SecretUnreadable(`both ${name} and ${fileVariable} are set: unset one of them`);
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new SecretUnreadable(
      `${fileVariable} names ${file}, which cannot be read (${why}): correct path or permissions`,
    );
  }
}
