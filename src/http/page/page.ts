import type { Api, Surroundings } from '../api.ts';

/** What a browser asks for. Everything else is for programs. */
export function addPage(api: Api, { store }: Surroundings): void {
  const { basePath } = store.config.http;
  api.get('/', (asked) => asked.redirect(`${basePath}/openapi.json`, 302));
}
