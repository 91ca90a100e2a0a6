import { writeFileSync } from 'node:fs'
import type { Reporter, TestCase, TestModule, TestSuite } from 'vitest/node'

/** What a run of vitest came to, as test/run.mjs reads it. */
export interface Tally {
  passed: number
  /** One line for each test, file or stray error that failed. */
  failed: string[]
  skipped: { test: string; reason?: string }[]
}

/** Writes the tally to a file, so that nothing has to be read out of text made for people. No file: does nothing. */
export function tallyReporter(file: string | undefined): Reporter {
  return {
    onTestRunEnd(modules, unhandled) {
      if (file === undefined) return
      const tally: Tally = { passed: 0, failed: [], skipped: [] }
      for (const module of modules) countModule(tally, module)
      for (const error of unhandled) tally.failed.push(`error outside of any test: ${error.message}`)
      writeFileSync(file, JSON.stringify(tally))
    },
  }
}

function countModule(tally: Tally, module: TestModule): void {
  // A file that cannot be loaded, or a hook that throws, fails without failing a test.
  for (const part of [module, ...module.children.allSuites()])
    for (const error of part.errors()) tally.failed.push(`${titleOf(module, part)}: ${error.message}`)
  for (const test of module.children.allTests()) countTest(tally, module, test)
}

function countTest(tally: Tally, module: TestModule, test: TestCase): void {
  const result = test.result()
  const title = `${module.relativeModuleId} > ${test.fullName}`
  if (result.state === 'passed') tally.passed += 1
  else if (result.state === 'skipped') tally.skipped.push({ test: title, ...(result.note ? { reason: result.note } : {}) })
  else tally.failed.push(result.state === 'pending' ? `${title}: did not end` : title)
}

function titleOf(module: TestModule, part: TestModule | TestSuite): string {
  return part.type === 'module' ? module.relativeModuleId : `${module.relativeModuleId} > ${part.fullName}`
}
