declare const content: unique symbol

/** A text column that holds a T. Only `toJson` makes one, so what is read back is what was parsed at the edge. */
export type Json<T> = string & { readonly [content]: T }

export function toJson<T>(value: T): Json<T> {
  return JSON.stringify(value) as Json<T>
}

export function fromJson<T>(text: Json<T>): T {
  return JSON.parse(text) as T
}

type Nullable<T> = { [K in keyof T]: null extends T[K] ? K : undefined extends T[K] ? K : never }[keyof T]
type Present<T> = Omit<T, Nullable<T>> & { [K in Nullable<T>]?: Exclude<T[K], null | undefined> }

/** The same object without the keys that are null or undefined: SQL's null is our "absent". */
export function present<T extends object>(fields: T): Present<T> {
  const kept = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined)
  return Object.fromEntries(kept) as Present<T>
}
