/** Packages that nobody here wrote: `belay init` on them, and from their source to a deployment that answers by them. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CommittedFile } from '../helpers/git-repository.ts'
import { clientMissing, fetchSource, laySettings, readSource, type Source } from '../helpers/package-sources.ts'
import { outline, startScenario, type Scenario } from '../helpers/scenario.ts'
import { skipUnless } from '../helpers/skips.ts'

const program = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))

/** Small, without dependencies, and with their tests in what the registry has. */
const sources = {
  go: { client: 'go', name: 'github.com/google/shlex', version: 'v0.0.0-20191202100458-e7afc7fbc510' },
  unittest: { client: 'python', name: 'toposort', version: '1.10' },
  pytest: { client: 'python', name: 'text-unidecode', version: '1.3' },
  npm: { client: 'npm', name: 'sax', version: '0.5.8' },
} as const satisfies Record<string, Source>

let place: string
let scenario: Scenario
/** What the clients need inside of steps. */
let settings: Record<string, string>

beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), 'belay-foreign-'))
  scenario = await startScenario({ environments: ['shlex', 'toposort', 'sax'] })
  settings = await laySettings(join(scenario.system.directory, 'settings'))
})

afterAll(async () => {
  await scenario?.stop()
  rmSync(place, { recursive: true, force: true })
})

const fetched = new Map<Source, Promise<Record<string, CommittedFile>>>()

/** Fetched once; skips the test if the machine lacks the client. */
async function filesOf(source: Source): Promise<Record<string, CommittedFile>> {
  const missing = clientMissing(source.client)
  skipUnless(missing === undefined, missing ?? '')
  const files = fetched.get(source) ?? fetchSource(source, place).then(readSource)
  fetched.set(source, files)
  return files
}

/** What `belay init` writes into a repository of these files, once `belay validate` has found it good. */
async function initialise(files: Record<string, CommittedFile>): Promise<string> {
  const repository = mkdtempSync(join(place, 'repository-'))
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(repository, path)), { recursive: true })
    writeFileSync(join(repository, path), content as Buffer)
  }
  await execa('git', ['init', '--quiet', '--initial-branch=main'], { cwd: repository })
  await execa(process.execPath, [program, 'init'], { cwd: repository })
  const { stdout } = await execa(process.execPath, [program, 'validate'], { cwd: repository })
  expect(stdout).toBe('.belay.yml: good')
  return readFileSync(join(repository, '.belay.yml'), 'utf8')
}

/** Commits these files and no others, with a pipeline whose steps have the settings, and waits for the end. */
async function run(
  pipeline: string,
  files: Record<string, CommittedFile>,
): Promise<{ status: string; steps: string[]; told: string }> {
  const before = readdirSync(scenario.repository.work).filter((name) => name !== '.git')
  const env = Object.entries(settings).map(([name, value]) => `  ${name}: ${JSON.stringify(value)}\n`)
  const ended = await scenario.run(pipeline.replace(/^steps:/m, `env:\n${env.join('')}steps:`), {
    files: { ...Object.fromEntries(before.filter((name) => name !== '.belay.yml').map((name) => [name, null])), ...files },
  })
  const last = ended.steps.at(-1)?.step ?? ''
  // Said only if it went wrong.
  const told = ended.status === 'succeeded' ? '' : `${ended.reason ?? ''}\n${await scenario.system.readLog(ended.id, last)}`
  return { status: ended.status, steps: outline(ended), told }
}

const succeeded = (...ids: string[]) => ({ status: 'succeeded', steps: ids.map((id) => `${id}: succeeded`), told: '' })

describe('`belay init` writes a pipeline that runs green', () => {
  test.each<[string, Source, string[]]>([
    ['a Go module', sources.go, ['build', 'vet', 'test']],
    ['a Python package with tests for unittest', sources.unittest, ['install', 'test']],
    ['a Python package with tests for pytest', sources.pytest, ['install', 'test']],
    ['an npm package', sources.npm, ['install', 'test']],
  ])('for %s', async (_, source, ids) => {
    const files = await filesOf(source)
    const pipeline = await initialise(files)
    expect(await run(pipeline, files)).toEqual(succeeded(...ids))
  })

  test('for a project of Maven it is valid', async () => {
    const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion><groupId>org.example</groupId><artifactId>app</artifactId><version>1</version>
</project>
`
    const pipeline = await initialise({ 'pom.xml': Buffer.from(pom), 'src/main/java/A.java': Buffer.from('class A {}\n') })
    expect(pipeline).toContain('mvn -B -ntp')
  })
})

describe('from source to a deployment', () => {
  test('of a Go module: a static program', async () => {
    const main = `package main

import (
	"encoding/json"
	"net/http"
	"os"

	"github.com/google/shlex"
)

func main() {
	http.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		words, _ := shlex.Split(request.URL.Query().Get("q"))
		json.NewEncoder(answer).Encode(words)
	})
	http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil)
}
`
    const files = { ...(await filesOf(sources.go)), 'server/main.go': main }
    const pipeline = `steps:
  test: { commands: [go test .] }
  build: { commands: [go build -o out/app ./server] }
${packAndDeploy({ name: 'shlex', files: '{ out/app: /app/app }', entrypoint: '[/app/app]' })}`
    expect(await run(pipeline, files)).toEqual(succeeded('test', 'build', 'image', 'image_release', 'ship'))
    expect(await answerOf('shlex', `one "two three" 'four # five' si\\x # seven`)).toEqual([
      'one',
      'two three',
      'four # five',
      'six',
    ])
  })

  test('of a Python package, installed into a directory of its own', async () => {
    const server = `import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlparse
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'site'))
from toposort import toposort

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlparse(self.path)
        body = b'good'
        if url.path != '/healthz':
            needs = {name: set(needed) for name, needed in json.loads(parse_qs(url.query)['q'][0]).items()}
            body = json.dumps([sorted(group) for group in toposort(needs)]).encode()
        self.send_response(200)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()
`
    const files = { ...(await filesOf(sources.unittest)), 'server.py': server }
    const pipeline = `steps:
  build: { commands: [python3 -m venv .venv, .venv/bin/python -m pip install --no-compile --target site .] }
  test: { commands: [.venv/bin/python test/test_toposort.py], env: { PYTHONPATH: site } }
${packAndDeploy({ name: 'toposort', files: '{ site/: /app/site, server.py: /app/server.py }', entrypoint: '[python3, /app/server.py]' })}`
    expect(await run(pipeline, files)).toEqual(succeeded('build', 'test', 'image', 'image_release', 'ship'))
    const needs = { roof: ['walls'], walls: ['floor', 'bricks'], door: ['walls'] }
    expect(await answerOf('toposort', JSON.stringify(needs))).toEqual([['bricks', 'floor'], ['walls'], ['door', 'roof']])
  })

  test('of an npm package, packed and installed as npm does', async () => {
    const server = `const http = require('node:http')
const sax = require('sax')
http.createServer((request, response) => {
  const url = new URL(request.url, 'http://app')
  if (url.pathname === '/healthz') return response.end('good')
  const seen = []
  const parser = sax.parser(true)
  parser.onopentag = ({ name, attributes }) => seen.push([name, attributes])
  parser.ontext = (text) => seen.push(text)
  parser.write(url.searchParams.get('q')).close()
  response.end(JSON.stringify(seen))
}).listen(Number(process.env.PORT), '127.0.0.1')
`
    const files = { ...(await filesOf(sources.npm)), 'server.cjs': server }
    const pipeline = `steps:
  test: { commands: [npm install --no-audit --no-fund, npm test] }
  build:
    commands:
      - mkdir out
      - npm install --no-audit --no-fund --prefix out "./$(npm pack --silent)"
${packAndDeploy({ name: 'sax', files: '{ out/: /app, server.cjs: /app/server.cjs }', entrypoint: '[node, /app/server.cjs]' })}`
    expect(await run(pipeline, files)).toEqual(succeeded('test', 'build', 'image', 'image_release', 'ship'))
    expect(await answerOf('sax', '<a b="1"><c/>d&amp;e</a>')).toEqual([['a', { b: '1' }], ['c', {}], 'd&e'])
  })
})

/** One image, and its deployment to the environment of that name. */
function packAndDeploy({ name, files, entrypoint }: { name: string; files: string; entrypoint: string }): string {
  return `  image: { build_image: { builder: pack, repository: foreign/${name}, files: ${files}, entrypoint: ${entrypoint} } }
  ship: { deploy: { environment: ${name}, health: { http: /healthz, interval: 200ms, timeout: 20s } } }
`
}

/** What the environment says through its edge. */
async function answerOf(environment: string, question: string): Promise<unknown> {
  const response = await fetch(`${scenario.system.edgeOf(environment)}/?q=${encodeURIComponent(question)}`)
  expect(response.status).toBe(200)
  return response.json()
}
