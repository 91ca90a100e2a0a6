import type { IForbiddenRuleType } from 'dependency-cruiser'
import { drivers, ports, rooms, startingCommands, workers } from './walls.ts'

const tests = '[.]test[.]ts$'
const outside = '^(test|bench|examples)/'

/** The tables of walls.ts as rules for dependency-cruiser. Tests lie in the rooms, but are bound by no wall. */
export function wallRules(): IForbiddenRuleType[] {
  return [
    ...Object.entries(rooms).flatMap(([name, room]) => [
      ...importRules(name, [`^src/${name}/`], room, name === 'cli' ? startingCommands.from : undefined),
      packageRule(name, `^src/${name}/`, room.packages),
      ...(room.builtins === undefined ? [] : [builtinRule(name, room.builtins)]),
    ]),
    ...importRules('cli-starting', [startingCommands.from], {
      uses: [...(rooms['cli']?.uses ?? []), '^src/cli/', ...startingCommands.uses],
    }),
    ...importRules('drivers', ['^src/drivers/([^/]+)/([^/]+)/'], drivers),
    ...importRules('ports', ['^src/drivers/([^/]+)/[^/]+[.]ts$'], ports),
    packageRule('drivers', '^src/drivers/', drivers.packages),
    packageRule('workers', '^workers/', workers.packages),
    {
      name: 'only what starts parts imports workers',
      severity: 'error',
      from: { path: '^src/', pathNot: [tests, startingCommands.from] },
      to: { path: '^workers/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'nothing that ships imports tests, benches or examples',
      severity: 'error',
      from: { path: '^(src|workers)/', pathNot: [tests] },
      to: { path: outside },
    },
    {
      name: 'no circles',
      severity: 'error',
      from: { path: '^(src|workers)/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'every import leads somewhere', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ]
}

interface Allowed {
  uses: readonly string[]
  mentions?: readonly string[]
}

/** Two rules: what may not be imported at all, and what may be imported in types only. */
function importRules(name: string, from: string[], allowed: Allowed, except?: string): IForbiddenRuleType[] {
  const own = name in rooms ? [`^src/${name}/`] : []
  const mentions = [...(allowed.mentions ?? [])]
  const source = { path: from, pathNot: except === undefined ? [tests] : [tests, except] }
  const never: IForbiddenRuleType = {
    name: `${name} may not import this`,
    severity: 'error',
    from: source,
    to: { path: '^(src|workers)/', pathNot: [...own, ...allowed.uses, ...mentions] },
  }
  if (mentions.length === 0) return [never]
  const typesOnly: IForbiddenRuleType = {
    name: `${name} may import this in types only`,
    severity: 'error',
    from: source,
    to: { path: mentions, pathNot: [...own, ...allowed.uses], dependencyTypesNot: ['type-only'] },
  }
  return [never, typesOnly]
}

function packageRule(name: string, from: string, packages: readonly string[]): IForbiddenRuleType {
  return {
    name: `${name} may not use this package`,
    severity: 'error',
    from: { path: from, pathNot: [tests] },
    to: { path: 'node_modules/', pathNot: packages.map((allowed) => `node_modules/(@types/)?${allowed}/`) },
  }
}

function builtinRule(name: string, builtins: readonly string[]): IForbiddenRuleType {
  return {
    name: `${name} may not use this module of Node`,
    severity: 'error',
    from: { path: `^src/${name}/`, pathNot: [tests] },
    to: { dependencyTypes: ['core'], pathNot: builtins.map((builtin) => `^(node:)?${builtin}$`) },
  }
}
