import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { z } from 'zod'
import { loadConfig } from '../../src/config/load-config.ts'
import { validatePipeline } from '../../src/pipeline/validate.ts'
import { listRepositoryFiles } from './repository-files.ts'
import { rooms } from './walls.ts'

const top = join(import.meta.dirname, '../..')
const documents = listRepositoryFiles(top).filter((path) => path.endsWith('.md'))
const manifest = z
  .object({
    scripts: z.record(z.string(), z.string()),
    dependencies: z.record(z.string(), z.string()),
    devDependencies: z.record(z.string(), z.string()),
  })
  .parse(JSON.parse(read('package.json')))

const temporary: string[] = []

afterEach(() => {
  for (const directory of temporary.splice(0)) rmSync(directory, { recursive: true, force: true })
})

it.each(['.belay.yml', 'examples/hello-service/.belay.yml'])('%s is a valid pipeline', (path) => {
  expect(validatePipeline({ path, text: read(path) })).toHaveProperty('document')
})

it('the configuration in docs/quick-start.md is taken as it stands', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'belay-documents-'))
  temporary.push(directory)
  const file = join(directory, 'belay.config.yml')
  writeFileSync(file, /```yaml\n([\s\S]*?)```/.exec(read('docs/quick-start.md'))?.[1] ?? '')
  const { config } = await loadConfig({ file, env: { SHOP_WEBHOOK_SECRET: 'a secret' }, cwd: directory })
  expect(config.projects['shop']).toMatchObject({ webhookSecrets: ['a secret'], environments: ['production'] })
})

it('the pipeline in README.md is the one of examples/hello-service', () => {
  const shown = [...read('README.md').matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text]) => text)
  expect(shown).toContain(read('examples/hello-service/.belay.yml'))
})

it.each(documents)('every link in %s leads to a file', (document) => {
  const links = [...read(document).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map(([, link]) => link ?? '')
  const local = links.filter((link) => !/^[a-z]+:/.test(link))
  expect(local.filter((link) => !existsSync(join(top, dirname(document), link)))).toEqual([])
})

it.each(documents)('every npm script that %s names is there', (document) => {
  const named = [...read(document).matchAll(/\bnpm run (?:--silent )?([a-z][a-z:-]*)/g)].map(([, name]) => name ?? '')
  const known = document.startsWith('examples/') ? scriptsOf(join(dirname(document), 'package.json')) : manifest.scripts
  expect(named.filter((name) => !(name in known))).toEqual([])
})

it('docs/architecture.md has a line for every room and every dependency', () => {
  const text = read('docs/architecture.md')
  const packages = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.devDependencies)]
  expect(Object.keys(rooms).filter((room) => !new RegExp(`^[|] \`${room}\` +[|]`, 'm').test(text))).toEqual([])
  expect(packages.filter((name) => !text.includes(`\`${name}\``))).toEqual([])
})

function scriptsOf(file: string): Record<string, string> {
  return existsSync(join(top, file))
    ? z.object({ scripts: z.record(z.string(), z.string()) }).parse(JSON.parse(read(file))).scripts
    : {}
}

function read(file: string): string {
  return readFileSync(join(top, file), 'utf8')
}
