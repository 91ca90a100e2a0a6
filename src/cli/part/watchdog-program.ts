import { fileURLToPath } from 'node:url'

/** How a runner starts its watchdog; the runner's directory comes after it. */
export function watchdogProgram(): { file: string; args: string[] } {
  return { file: process.execPath, args: [fileURLToPath(new URL('../main.js', import.meta.url)), 'part', 'watchdog'] }
}
