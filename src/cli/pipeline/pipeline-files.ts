import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { BelayError } from '../../domain/errors.ts'
import type { PipelineFile } from '../../pipeline/parse.ts'
import type { Io } from '../io.ts'

/** The files that were named, or the pipelines of the repository that we stand in. Throws `not_found` if there are none. */
export function readPipelineFiles(io: Io, named: readonly string[]): PipelineFile[] {
  const paths = named.length > 0 ? named : listPipelines(io.cwd)
  if (paths.length === 0) {
    throw new BelayError({
      code: 'not_found',
      message: 'there is no .belay.yml here',
      hint: 'Name a file, or go into a repository that has one.',
    })
  }
  return paths.map((path) => {
    const file = resolve(io.cwd, path)
    if (!existsSync(file)) throw new BelayError({ code: 'not_found', message: `there is no file ${path}` })
    return { path, text: readFileSync(file, 'utf8') }
  })
}

function listPipelines(directory: string): string[] {
  const several = join(directory, '.belay')
  const files = existsSync(several) ? readdirSync(several).filter((file) => file.endsWith('.yml')) : []
  return [...(existsSync(join(directory, '.belay.yml')) ? ['.belay.yml'] : []), ...files.sort().map((file) => `.belay/${file}`)]
}
