import { renameSync, writeFileSync } from 'node:fs'

/** Arms the moment that `file` is called like (`src/process/fault-point.ts`). In one move: whoever comes by reads all of it, or finds nothing. */
export function armFaultPoint(file: string, what: 'kill' | 'stop' | 'throw'): void {
  writeFileSync(`${file}.new`, what)
  renameSync(`${file}.new`, file)
}
