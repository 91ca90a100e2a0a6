/** As much of a logger as the runner needs; pino's has this shape. Fields and messages hold nothing secret. */
export interface Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
