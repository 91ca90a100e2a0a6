import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { cruise } from 'dependency-cruiser'
import extractTsConfig from 'dependency-cruiser/config-utl/extract-ts-config'
import { wallRules } from './wall-rules.ts'

export interface Breach {
  rule: string
  from: string
  to: string
}

/** Every import below `top` (src/ and workers/) that breaks a wall, and how many modules were looked at. */
export async function findBreaches(top: string): Promise<{ modules: number; breaches: Breach[] }> {
  const directories = ['src', 'workers'].filter((directory) => existsSync(join(top, directory)))
  const { output } = await cruise(
    directories,
    {
      baseDir: top,
      validate: true,
      ruleSet: { forbidden: wallRules() },
      // Type-only imports count, too; the rules tell them apart.
      tsPreCompilationDeps: true,
      combinedDependencies: true,
      doNotFollow: { path: 'node_modules' },
    },
    { extensions: ['.ts', '.js', '.json'], conditionNames: ['node', 'import', 'types', 'default'], exportsFields: ['exports'] },
    { tsConfig: extractTsConfig(join(import.meta.dirname, '../../tsconfig.json')) },
  )
  if (typeof output === 'string') throw new Error(`dependency-cruiser answered with text: ${output}`)
  const breaches = output.summary.violations.map(({ rule, from, to }) => ({ rule: rule.name, from, to }))
  return { modules: output.modules.filter(({ source }) => !source.includes('node_modules')).length, breaches }
}
