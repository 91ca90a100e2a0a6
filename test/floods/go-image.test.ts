/** A compiled program in an image of two stages, built by an engine from a cold start. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { docker } from '../../src/drivers/builders/docker/docker.ts'
import { baseImages, ensureBaseImages, ensureGoImage } from '../helpers/base-images.ts'
import { engineMissing } from '../helpers/engine.ts'
import { registryMissing, startRegistry, type RunningRegistry } from '../helpers/registry.ts'
import { skipUnless } from '../helpers/skips.ts'

const missing = engineMissing() ?? registryMissing()
let registry: RunningRegistry
let directory: string

beforeAll(async () => {
  if (missing !== undefined) return
  directory = mkdtempSync(join(tmpdir(), 'belay-go-image-'))
  await ensureBaseImages()
  await ensureGoImage()
  registry = await startRegistry()
})
afterAll(async () => {
  await registry?.stop()
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true })
})

const program = `package main

import (
	"fmt"
	"runtime"
)

var version = "none"

func main() { fmt.Println("compiled", version, runtime.GOOS) }
`

const dockerfile = `FROM ${baseImages.go} AS build
ARG VERSION
WORKDIR /src
COPY go.mod main.go ./
RUN go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/app .
FROM scratch
COPY --from=build /out/app /app
USER 10001
ENTRYPOINT ["/app"]
`

test('holds the program and nothing of what built it, and runs by the digest that the registry has', async () => {
  skipUnless(missing === undefined, missing ?? '')
  const workspace = mkdtempSync(join(directory, 'checkout-'))
  writeFileSync(join(workspace, 'go.mod'), 'module example.com/app\n\ngo 1.20\n')
  writeFileSync(join(workspace, 'main.go'), program)
  writeFileSync(join(workspace, 'Dockerfile'), dockerfile)
  const lines: string[] = []
  const image = await docker.build({
    build: {
      ...{ builder: 'docker', repository: 'main/compiled', registry: 'main', tags: ['v1'], labels: {}, context: '.' },
      ...{ dockerfile: 'Dockerfile', args: { VERSION: 'one' }, secrets: {} },
    },
    ...{ workspace, images: directory, scratch: mkdtempSync(join(directory, 'scratch-')), secrets: {} },
    registry: registry.access,
    env: { PATH: process.env['PATH'] ?? '', HOME: directory, DOCKER_HOST: process.env['DOCKER_HOST'] ?? '' },
    log: (line) => lines.push(line),
    spawned: () => undefined,
    signal: new AbortController().signal,
  })
  const name = `${registry.host}/compiled@${image.digest}`
  expect((await execa('docker', ['run', '--rm', name])).stdout).toBe('compiled one linux')
  const { stdout: size } = await execa('docker', ['image', 'inspect', '--format', '{{.Size}}', name])
  expect(Number(size)).toBeLessThan(10_000_000)
})
