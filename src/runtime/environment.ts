/**
 * The only access to the process environment. Everything that reads a variable reads it here, so that what a process takes from its surroundings
 * can be seen in one search, and so that secrets have one way in.
 */
export const environment: Readonly<Record<string, string | undefined>> = process.env;
