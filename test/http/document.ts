import { z } from 'zod';

type JSONSchema = Parameters<typeof z.fromJSONSchema>[0];

/** What is read of the document. */
export interface OpenApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

interface Operation {
  readonly parameters?: readonly { readonly in: string; readonly name: string }[];
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>
  >;
}

type Schema = Readonly<Record<string, unknown>>;

/** What an answer has that can be held against the document. */
export interface Told {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** Each route of the document, like `GET /v1/batches/{id}`. */
export function routesOf({ paths }: OpenApiDocument): string[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
}

/** Where an answer of the route is not what the document says of it: also a member that it does not have. */
export function faultsOf(document: OpenApiDocument, route: string, { status, headers, text }: Told): string[] {
  const [method = '', path = ''] = route.split(' ');
  const { responses } = document.paths[path]?.[method.toLowerCase()] ?? { responses: {} };
  const said = responses[status] ?? (status >= 400 ? responses['default'] : undefined);
  if (said === undefined) return [`${status} is not in the document`];
  const type = (headers.get('content-type') ?? '').split(';')[0] ?? '';
  if (said.content === undefined) return text === '' ? [] : ['there is a body'];
  const schema = said.content[type]?.schema;
  if (schema === undefined) return [`${type} is not in the document`];
  return type.endsWith('json') && !type.includes('ndjson') ? faultsIn(document, schema, JSON.parse(text)) : [];
}

/** @param value - to be held against a schema of the document */
export function faultsIn({ components }: OpenApiDocument, schema: Schema, value: unknown): string[] {
  const flat = (one: unknown) => whole(one, components.schemas);
  const $defs = Object.fromEntries(Object.entries(components.schemas).map(([name, one]) => [name, flat(one)]));
  const result = z.fromJSONSchema({ ...(flat(schema) as object), $defs } as JSONSchema).safeParse(value);
  if (result.success) return [];
  return result.error.issues.map(({ path, message }) => `${path.map(String).join('.')}: ${message}`);
}

/** The schema without what it leaves open: members that it does not name are faults, other than those of a problem. */
function whole(schema: unknown, all: OpenApiDocument['components']['schemas']): unknown {
  if (Array.isArray(schema)) return schema.map((one) => whole(one, all));
  if (typeof schema !== 'object' || schema === null) return schema;
  const { $ref, allOf, ...rest } = schema as Schema;
  if (typeof $ref === 'string') return { $ref: $ref.replace('#/components/schemas/', '#/$defs/') };
  if (Array.isArray(allOf)) return whole(merged(allOf as Schema[], all), all);
  const inner = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, whole(value, all)]));
  const isOpen = schema === all['Problem'] || !('properties' in rest);
  return isOpen ? inner : { ...inner, additionalProperties: false };
}

/** Of parts that extend each other, one object. */
function merged(parts: readonly Schema[], all: OpenApiDocument['components']['schemas']): Schema {
  const resolved = parts.map((part) =>
    typeof part['$ref'] === 'string' ? (all[part['$ref'].replace('#/components/schemas/', '')] ?? {}) : part,
  );
  return {
    type: 'object',
    properties: Object.assign({}, ...resolved.map(({ properties }) => properties)) as Schema,
    required: resolved.flatMap(({ required = [] }) => required as string[]),
  };
}
