import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker'
import { afterEach, expect, it } from 'vitest'
import { z } from 'zod'

const top = join(import.meta.dirname, '../..')
const temporary: string[] = []

afterEach(() => {
  for (const directory of temporary.splice(0)) rmSync(directory, { recursive: true, force: true })
})

it('the workflows make a bundle that holds only the rooms and packages that may be replayed', async () => {
  const { sources, complaints } = await bundle(join(top, 'src/workflows/index.ts'))
  const ours = sources.filter((source) => /[/](src|workers)[/]/.test(source) && !source.includes('node_modules'))
  expect(complaints).toEqual([])
  expect(ours.filter((source) => !/[/]src[/](workflows|contract|domain)[/]/.test(source))).toEqual([])
  expect(ours).toContainEqual(expect.stringMatching(/src[/]workflows[/]run[.]ts$/))
  expect(
    sources.filter((source) =>
      /node_modules[/](?!@temporalio[/](workflow|common|worker)|nexus-rpc|long|ms|zod|@opentelemetry)/.test(source),
    ),
  ).toEqual([])
})

it.each(['fs', 'node:fs', 'node:child_process'])('a workflow that uses %s makes no bundle', async (builtin) => {
  await expect(bundle(using(builtin))).rejects.toThrow(/disallowed modules|Webpack finished with errors/)
})

it('a workflow that uses what it may makes one', async () => {
  expect((await bundle(using('@temporalio/workflow'))).complaints).toEqual([])
})

function using(name: string): string {
  return writeWorkflow(`import * as used from '${name}'\nexport const read = () => Object.keys(used)\n`)
}

/** The modules that went into the bundle, by its own source map, and what the bundler had to say against them. */
async function bundle(workflowsPath: string): Promise<{ sources: string[]; complaints: string[] }> {
  const complaints: string[] = []
  const logger = new DefaultLogger('WARN', ({ message }) => complaints.push(message))
  const { code } = await bundleWorkflowCode({ workflowsPath, logger })
  const map = /sourceMappingURL=data:application[/]json;[^,]*base64,([\w+/=]+)/.exec(code)?.[1] ?? ''
  const { sources } = z.object({ sources: z.array(z.string()) }).parse(JSON.parse(Buffer.from(map, 'base64').toString()))
  return { sources, complaints }
}

function writeWorkflow(text: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'belay-bundle-'))
  temporary.push(directory)
  symlinkSync(join(top, 'node_modules'), join(directory, 'node_modules'))
  writeFileSync(join(directory, 'workflow.mjs'), text)
  return join(directory, 'workflow.mjs')
}
